"""What the rules that load and export weights are given."""

from dnalm.files import sha256_of


def get_weight_files(wildcards):
    """Return the files of a model that is loaded, by the names that import_weights.py reads.

    Those of a hub are named in a list, which is made when they are fetched.
    """
    model = wildcards.model.removesuffix(resolve.UNTRAINED)
    if weights.is_of_hub(config, model):
        return {"listing": f"<results>/hub/models/{model}.json"}
    found = weights.resolve_weights(config, model)
    return weights.list_folder_files(found, get_place(found.folder))


def get_known_prediction(wildcards, output):
    """Return what is known of a model's predictions; as with `get_weight_source` no job is rerun."""
    model = wildcards.model.removesuffix(resolve.UNTRAINED)
    return config["models"][model].get("known_prediction")


def get_weight_source(wildcards, output):
    """Return where weights come from, and their licence.

    As with `get_download`, Snakemake takes it as derived: a licence that is written down later does
    not rerun all that was made of the weights. Reports and exports show it as it is now.
    """
    return weights.resolve_source(config, wildcards.model)


def get_rights(wildcards):
    """Return the source, licence and citation of a model's weights, each None where unknown."""
    return weights.describe_rights(config, wildcards.model)


def get_card_facts(wildcards):
    """Return history and corpus of a model that is trained here; of another one nothing."""
    if wildcards.model not in PRETRAINED:
        return {}
    return {
        "history": f"<results>/models/{wildcards.model}/history.jsonl",
        "corpus": get_model_manifest(wildcards),
    }


def get_scores_sum(wildcards):
    """Return the sum of the table of scores, so that a new one makes a card again; None without.

    It is no input: an export needs no benchmark.
    """
    table = Path(get_place("<results>/tables/summary.tsv"))
    return sha256_of(table) if table.exists() else None


def get_export(wildcards):
    return get_place(f"<results>/models/{wildcards.model}/export")
