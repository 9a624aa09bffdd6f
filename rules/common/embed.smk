"""What the rules of embeddings are given, and in which formats they are written."""

SUFFIXES = {"parquet": "parquet", "anndata": "h5ad"}
# Beside the file that probes read; how these are made is no matter of the others.
EXPORTED = [SUFFIXES[form] for form in config["embed"]["export"]]


def get_embed(wildcards):
    """Return how sequences are embedded."""
    return {key: value for key, value in config["embed"].items() if key != "export"}


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
