"""Where the inputs and params of a rule come from, by its wildcards."""


def get_corpus(model):
    """Return the corpus of a model, trained or not."""
    return config["models"][model.removesuffix(resolve.UNTRAINED)]["corpus"]


def get_genome_files(corpus, file):
    """Return one file of every genome of a corpus, in the corpus's order."""
    return expand("<results>/genomes/{genome}/{file}", genome=CORPORA[corpus], file=file)


def get_genome_folders(corpus):
    """Return {genome: folder of its bases} of a corpus."""
    return {name: workflow.pathvars.apply(f"<results>/genomes/{name}") for name in CORPORA[corpus]}


def get_bases(wildcards):
    return get_genome_files(wildcards.corpus, "bases.npy")


def get_contigs(wildcards):
    return get_genome_files(wildcards.corpus, "contigs.tsv")


def get_manifests(wildcards):
    return get_genome_files(wildcards.corpus, "manifest.json")


def get_corpus_settings(wildcards):
    return resolve.resolve_corpus(config, wildcards.corpus, CORPORA[wildcards.corpus])


def get_folders(wildcards):
    return get_genome_folders(wildcards.corpus)


def get_model_folders(wildcards):
    return get_genome_folders(get_corpus(wildcards.model))


def get_model_bases(wildcards):
    return get_genome_files(get_corpus(wildcards.model), "bases.npy")


def get_model_manifest(wildcards):
    return f"<results>/corpora/{get_corpus(wildcards.model)}/manifest.json"


def get_initial_weights(wildcards):
    """Return the file that training starts from; none for most models, which draw their weights."""
    untrained = f"{wildcards.model}{resolve.UNTRAINED}"
    return f"<results>/models/{untrained}/weights.safetensors" if untrained in LOADED else []


def get_run(wildcards):
    initial = workflow.pathvars.apply(get_initial_weights(wildcards) or "")
    return {**resolve.resolve_run(config, wildcards.model), "initial_weights": initial or None}


def get_rights(wildcards):
    """Return the source, licence and citation of a model's weights, each None where unknown."""
    return weights.describe_rights(config, wildcards.model)


def get_operation(wildcards):
    model = config["models"][wildcards.model]
    operation = resolve.merge(config["operation"], model.get("operation", {}))
    return {**operation, "scratch": config["scratch"]}


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


def get_task_entry(task):
    return resolve.resolve_task(config, task)


def get_task(wildcards):
    return resolve.describe_rows(config, wildcards.task)


def get_pooling(wildcards):
    """Return the one key of a task that embedding and fine-tuning read."""
    return {"pooling": get_task_entry(wildcards.task)["pooling"]}


def get_method(wildcards):
    return config["finetune"]["methods"][wildcards.method]
