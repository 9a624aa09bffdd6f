"""What the rules of fine-tuning, and of networks trained like it, are given."""

if workflow.exec_mode == ExecMode.DEFAULT:
    for sentence in finetuning.find_method_warnings(config):
        logger.warning(sentence)


def get_method(wildcards):
    return finetuning.resolve_method(config, wildcards.method)


def get_network(wildcards):
    return finetuning.resolve_network(config, wildcards.network)
