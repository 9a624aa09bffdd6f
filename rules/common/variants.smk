"""What the rules of variants are given, and which files they make."""

from dnalm.configuration.variants import resolve_variants


def get_variant_files(wildcards):
    """Return the files of a set of variants and of a model, by the names of score_variants.py."""
    entry = config["variants"][wildcards.set]
    genome = f"<results>/genomes/{entry['genome']}"
    return {
        "variants": watch(
            get_scored_file(wildcards.set),
            f"variants.{wildcards.set}.vcf",
            f"<results>/variants/{wildcards.set}/{wildcards.model}.parquet",
        ),
        **get_model_files(wildcards),
        "bases": f"{genome}/bases.npy",
        "contigs": f"{genome}/contigs.tsv",
        "manifest": f"{genome}/manifest.json",
    }


def get_variant_settings(wildcards):
    settings = resolve_variants(config, wildcards.set) | {"model": wildcards.model}
    return leave_batches(settings) | get_own_embedder(wildcards)


def get_variant_batches(wildcards, output):
    return keep_batches(resolve_variants(config, wildcards.set))


def get_scored_variants(wildcards):
    """Return the files of scores of every set of variants of the run."""
    made = []
    for name, entry in VARIANTS.items():
        endings = ["parquet", "vcf.gz", f"vcf.gz.{resolve_variants(config, name)['index']}"]
        endings += ["features.safetensors"] if name in SCORED_WITH_FEATURES else []
        made += expand(
            f"<results>/variants/{name}/{{model}}.{{ending}}", model=entry["models"], ending=endings
        )
    return made
