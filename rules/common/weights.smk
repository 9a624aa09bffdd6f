"""What the rules that load and export weights are given."""


def get_weight_files(wildcards):
    """Return the files of a model that is loaded, by the names that import_weights.py reads."""
    found = weights.resolve_weights(config, wildcards.model.removesuffix(resolve.UNTRAINED))
    return {
        "weights": [locate(part) for part in found.parts],
        "settings": locate(found.settings),
        "vocabulary": locate(found.vocabulary),
    }


def get_weight_source(wildcards, output):
    """Return where weights come from, and their licence.

    As with `get_download`, Snakemake takes it as derived: a licence that is written down later does
    not rerun all that was made of the weights. Reports and exports show it as it is now.
    """
    return weights.resolve_source(config, wildcards.model)


def get_rights(wildcards):
    """Return the source, licence and citation of a model's weights, each None where unknown."""
    return weights.describe_rights(config, wildcards.model)
