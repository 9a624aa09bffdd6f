"""What the rules of fine-tuning, and of networks trained like it, are given."""

if workflow.exec_mode == ExecMode.DEFAULT:
    for sentence in finetuning.find_method_warnings(config):
        logger.warning(sentence)


def get_method(wildcards):
    return finetuning.resolve_method(config, wildcards.method)


def get_tuned_embedder(wildcards):
    """Return how the embedder of a model is opened, None of a model of ours."""
    return get_embedder(wildcards) if wildcards.model in EMBEDDERS else None


def list_finetunes(path):
    """Return the files that `path` names of every method, model and task."""
    return expand(path, method=FINETUNES, model=[*TUNED, *TUNED_FOREIGN], task=TASKS)


def get_network(wildcards):
    return finetuning.resolve_network(config, wildcards.network)


def get_finetune_gpus(wildcards):
    return finetuning.count_gpus(config, wildcards.method, wildcards.model)


def get_finetune_memory(wildcards):
    """Return MB: of one process, and of those beside it, each of which loads the model."""
    return 64_000 + 24_000 * (get_finetune_gpus(wildcards) - 1)
