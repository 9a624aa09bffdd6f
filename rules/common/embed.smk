"""What the rules of embeddings are given, and in which formats they are written."""

SUFFIXES = {"parquet": "parquet", "anndata": "h5ad"}
# Beside the file that probes read; how these are made is no matter of the others.
EXPORTED = [SUFFIXES[form] for form in config["embed"]["export"]]


def get_embed(wildcards):
    """Return how sequences are embedded."""
    return leave_batches({key: value for key, value in config["embed"].items() if key != "export"})


def get_embed_batches(wildcards, output):
    return keep_batches(config["embed"])


def get_embedder(wildcards):
    """Return how a model's embedder is opened."""
    return weights.resolve_embedder(config, wildcards.model)


def get_own_embedder(wildcards):
    """Return the setting that says how the embedder of a model is opened, none of a model of ours."""
    return {"embedder": get_embedder(wildcards)} if wildcards.model in EMBEDDERS else {}


def get_embedder_files(wildcards):
    """Return the files of an embedder that `transformers` opens, none of one that is called."""
    model = wildcards.model
    if not weights.is_of_transformers(config, model):
        return {}
    if weights.is_of_hub(config, model):
        return {"listing": f"<results>/hub/models/{model}.json"}
    found = weights.resolve_weights(config, model)
    return weights.list_embedder_files(found, get_place(found.folder))


def get_embedder_rights(wildcards, output):
    """Return {source, licence, citation}; as with `get_weight_source` no job is rerun."""
    return get_rights(wildcards)


def get_embedder_environment(wildcards):
    """Return the conda environment of an embedder, else that of ours."""
    return weights.find_environment(config, wildcards.model) or "../envs/embedders.yaml"


def get_model_files(wildcards):
    """Return the files of a model, of ours or of one that an embedder opens."""
    model = f"<results>/models/{wildcards.model}"
    if wildcards.model in EMBEDDERS:
        return {"described": f"{model}/embedder.json", **get_embedder_files(wildcards)}
    return {"run": f"{model}/run.json", "weights": f"{model}/weights.safetensors"}


def get_model_environment(wildcards):
    """Return the conda environment in which a model is opened."""
    if wildcards.model in EMBEDDERS:
        return get_embedder_environment(wildcards)
    return "../envs/torch.yaml"


def match_models(names):
    """Return the pattern of the names of some models."""
    return "|".join(map(re.escape, names)) or NOTHING


def match_others(names):
    """Return the pattern of the names of all models but some, in a path below their folder."""
    return rf"(?!(?:{match_models(names)})/){NAME}" if names else NAME


def get_foreign_embeddings(wildcards):
    """Return the file of embeddings that another program made, {task} and {name} filled in."""
    path = config["models"][wildcards.model]["embeddings"]
    return path.format(task=wildcards.task, name=wildcards.task.split(".", 1)[-1])


def get_probed_run(wildcards):
    """Return what describes the model whose embeddings are probed, nothing of a foreign one."""
    return [] if wildcards.model in FOREIGN else f"<results>/models/{wildcards.model}/run.json"


def get_exported_embeddings(wildcards):
    """Return the embeddings of the run in other formats, none by default."""
    return expand(
        "<results>/embeddings/{model}/{task}.{form}", model=PROBED, task=POOLED, form=EXPORTED
    )
