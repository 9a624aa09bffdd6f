"""What the trainer is given."""


def get_initial_weights(wildcards):
    """Return the file that training starts from; none for most models, which draw their weights."""
    untrained = f"{wildcards.model}{resolve.UNTRAINED}"
    return f"<results>/models/{untrained}/weights.safetensors" if untrained in LOADED else []


def get_run(wildcards):
    initial = workflow.pathvars.apply(get_initial_weights(wildcards) or "")
    return {**resolve.resolve_run(config, wildcards.model), "initial_weights": initial or None}


def get_operation(wildcards):
    model = config["models"][wildcards.model]
    operation = resolve.merge(config["operation"], model.get("operation", {}))
    return {**operation, "scratch": config["scratch"]}


def get_operations(wildcards):
    """Return {model: its operation.json}, which names no model."""
    models = workflow.pathvars.apply("<results>/models")
    return {model: f"{models}/{model}/operation.json" for model in PRETRAINED}


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
