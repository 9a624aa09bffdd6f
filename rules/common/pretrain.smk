"""What the trainer is given, and what a scheduler is asked for it."""

import json

from dnalm.configuration.cluster import resolve_operation, size_cluster
from dnalm.corpus.windows import count_window_tokens
from dnalm.files import sha256_of


def get_trainer(wildcards, output):
    """Return the trainer; as with `get_download`, another place of it trains no model again.

    Among the inputs it would: of a project that was moved, in another checkout or cache.
    """
    return str(SCRIPTS / "pretrain.py")


def get_trainer_sum(wildcards):
    """Return what decides instead whether training is looked at again: the code of the trainer."""
    return sha256_of(get_trainer(None, None))


def get_checker(wildcards, output):
    return str(SCRIPTS / "check_training.py")


def get_initial_weights(wildcards):
    """Return the file that training starts from; none for most models, which draw their weights."""
    untrained = f"{wildcards.model}{resolve.UNTRAINED}"
    return f"<results>/models/{untrained}/weights.safetensors" if untrained in LOADED else []


def get_run(wildcards):
    initial = get_initial_weights(wildcards)
    run = resolve.resolve_run(config, wildcards.model)
    return {**run, "initial_weights": get_place(initial) if initial else None}


def get_operation(wildcards):
    return {**resolve_operation(config, wildcards.model), "scratch": config["scratch"]}


class Untracked:
    """A text in params that makes no job run again: only builtin types are compared.

    An input that is `ancient` would not do: where its own rule has to run, Snakemake leaves out all
    that comes behind it, missing files too, and still ends well.
    """

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def get_operation_text(wildcards):
    return Untracked(json.dumps(get_operation(wildcards)))


def get_window_tokens(wildcards):
    corpus = config["models"][wildcards.model]["corpus"]
    return count_window_tokens(resolve.resolve_corpus(config, corpus, []))


def get_nodes(wildcards):
    return size_cluster(config, wildcards.model).nodes


def get_gpus_per_node(wildcards):
    return size_cluster(config, wildcards.model).gpus_per_node


def get_gpus(wildcards):
    return size_cluster(config, wildcards.model).gpus


def get_training_memory(wildcards):
    return size_cluster(config, wildcards.model).memory_mb


def get_starter(wildcards):
    """Return what starts the processes of several nodes; on one the trainer does so itself."""
    return "srun" if size_cluster(config, wildcards.model).nodes > 1 else None


def get_tasks_per_node(wildcards):
    """Return the processes of each of several nodes; on one there is a single task."""
    size = size_cluster(config, wildcards.model)
    return size.processes if size.nodes > 1 else None


def get_cores_per_task(wildcards):
    """Return the cores of one process, or of all of them where a single task starts them."""
    size, threads = size_cluster(config, wildcards.model), get_operation(wildcards)["threads"]
    return threads if size.nodes > 1 else threads * size.processes


def get_training_threads(wildcards):
    """Return the cores of all processes; with `auto`, on GPUs, the profile sets the number."""
    operation = get_operation(wildcards)
    processes = 1 if operation["processes"] == "auto" else operation["processes"]
    return processes * operation["threads"]


def get_validation(wildcards):
    return f"<results>/corpora/{get_corpus(wildcards.model)}/validation.npy"


def get_test(wildcards):
    return f"<results>/corpora/{get_corpus(wildcards.model)}/test.npy"


def get_kmer_counts(wildcards):
    return f"<results>/corpora/{get_corpus(wildcards.model)}/kmer_counts.npy"
