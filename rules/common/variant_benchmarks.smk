"""What the rules of prioritisation are given, and which files they make."""

from dnalm.configuration import prioritisation


def get_scored_file(name):
    """Return the file whose variants are scored: the user's, or one that is made of labels."""
    entry = config["variants"][name]
    if prioritisation.is_made(entry):
        return f"<results>/variant_benchmarks/{name}/labelled.vcf.gz"
    return entry["vcf"]


def get_set_files(wildcards):
    return prioritisation.list_set_files(config, wildcards.set)


def get_set(wildcards):
    return prioritisation.resolve_set(config, wildcards.set)


def get_evaluation(wildcards):
    return prioritisation.resolve_evaluation(config, wildcards.set)


def get_supervised(wildcards):
    return prioritisation.resolve_supervised(config, wildcards.set)


def get_finetuning(wildcards):
    settings = prioritisation.resolve_finetuning(config, wildcards.set, wildcards.method)
    return leave_batches(settings)


def get_finetuning_batches(wildcards, output):
    settings = prioritisation.resolve_finetuning(config, wildcards.set, wildcards.method)
    return keep_batches(settings)


def get_bases_of_set(wildcards):
    """Return the files of the genome of a set."""
    genome = f"<results>/genomes/{config['variants'][wildcards.set]['genome']}"
    return {
        "bases": f"{genome}/bases.npy",
        "contigs": f"{genome}/contigs.tsv",
        "manifest": f"{genome}/manifest.json",
    }


def get_set_scores(wildcards):
    """Return the scores of a set by all its models, and by what was trained if asked for."""
    entry, name = config["variants"][wildcards.set], wildcards.set
    folders = {"scores": f"<results>/variants/{name}"}
    if entry.get("supervised"):
        folders["supervised"] = f"<results>/variant_benchmarks/{name}/supervised"
    files = {
        role: expand("{folder}/{model}.parquet", folder=folder, model=entry["models"])
        for role, folder in folders.items()
    }
    files["finetuned"] = expand(
        f"<results>/variant_benchmarks/{name}/finetuned/{{method}}/{{model}}.parquet",
        method=entry.get("finetune", []),
        model=[model for model in entry["models"] if model not in EMBEDDERS],
    )
    return files


def get_distribution(wildcards):
    """Return the reference distribution of a set's percentiles by a model."""
    percentile = config["variants"][wildcards.set]["percentile"]
    if "files" in percentile:
        return percentile["files"][wildcards.model]
    among = percentile["among"]
    return f"<results>/variant_benchmarks/{among}/distributions/{wildcards.model}.parquet"


def get_table_of_labels(wildcards):
    return config["variants"][wildcards.set]["label"]["path"]


def get_variant_evaluations(wildcards):
    return expand("<results>/variant_benchmarks/{set}/evaluation.json", set=EVALUATED)


def get_percentiles(wildcards):
    """Return the percentiles of every set of the run that asks for them."""
    return [
        f"<results>/variant_benchmarks/{name}/percentiles/{model}.parquet"
        for name in WITH_PERCENTILES
        for model in VARIANTS[name]["models"]
    ]


def get_aligned_scores(wildcards):
    """Return the scores beside the rows of every Parquet table of labels, as TraitGym has them."""
    return [
        f"<results>/variant_benchmarks/{name}/aligned/{model}.parquet"
        for name, entry in VARIANTS.items()
        if entry.get("label", {}).get("path", "").endswith(".parquet") and "vcf" not in entry
        for model in entry["models"]
        if "match" not in entry
    ]


def get_variant_pages(wildcards):
    """Return the page of variants, where something was held against labels or classes."""
    return ["<results>/variants.html"] if EVALUATED else []


def get_variant_benchmarks(wildcards):
    """Return all that `variants:` asks for beside the scores themselves."""
    return [
        *get_variant_evaluations(wildcards),
        *get_percentiles(wildcards),
        *get_aligned_scores(wildcards),
        *get_variant_pages(wildcards),
    ]


EVALUATED = [name for name, entry in VARIANTS.items() if prioritisation.is_evaluated(entry)]
WITH_PERCENTILES = [name for name, entry in VARIANTS.items() if "percentile" in entry]
MADE_SETS = [n for n, entry in config["variants"].items() if prioritisation.is_made(entry)]
GIVEN_SETS = [n for n in config["variants"] if n not in MADE_SETS]
