"""What the rules of fine-tuning, and of networks trained like it, are given."""

if workflow.exec_mode == ExecMode.DEFAULT:
    for sentence in finetuning.find_method_warnings(config):
        logger.warning(sentence)

PEFT_FOLDER = "<results>/finetunes/{method}/{model}/{task}/peft"
# What `peft` opens: a model that is called has no form that others know.
STOCK_TUNED = [model for model in TUNED_FOREIGN if weights.is_of_transformers(config, model)]


def get_method(wildcards):
    return finetuning.resolve_method(config, wildcards.method)


def get_encoded(wildcards):
    """Return the keys of the section `embed` that fine-tuning reads; others are of embeddings alone."""
    return {key: config["embed"][key] for key in ("pooling", "centre_bases", "too_long")}


def get_network_embed(wildcards, output):
    """Return the section `embed`: networks read its batches alone, so it is not compared."""
    return config["embed"]


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


def get_peft_base_files(wildcards):
    """Return the files of the model that adapters are put on in `peft`: of ours its export."""
    if wildcards.model in EMBEDDERS:
        return get_model_files(wildcards)
    model = f"<results>/models/{wildcards.model}"
    return {"run": f"{model}/run.json", "card": f"{model}/export/README.md"}


def get_peft_base(wildcards):
    """Return where `peft` finds that model: a folder, or a repository and its revision."""
    if not weights.is_of_transformers(config, wildcards.model):
        return {"folder": str(get_export(wildcards)), "revision": None}
    found = weights.resolve_weights(config, wildcards.model)
    return {"folder": found.repository or found.folder, "revision": found.revision}
