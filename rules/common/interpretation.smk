"""What the rules of interpretation are given, and which files they make."""

from dnalm.configuration.interpretation.annotations import AROUND, OF_OURS, resolve_annotation


def get_annotation_entry(name):
    """Return an entry of `annotations:`, defaults filled in."""
    return resolve_annotation(config, name)


def get_element_files(wildcards):
    """Return the files of an annotation: transcripts, and `bed.<element>` each."""
    entry = get_annotation_entry(wildcards.annotation)
    beds = {f"bed.{name}": path for name, path in entry["bed"].items()}
    transcripts = {"transcripts": entry["transcripts"]} if entry["transcripts"] else {}
    return transcripts | beds


def get_annotated_genome(wildcards):
    genome = f"<results>/genomes/{get_annotation_entry(wildcards.annotation)['genome']}"
    return {"bases": f"{genome}/bases.npy", "contigs": f"{genome}/contigs.tsv"}


def get_window_files(wildcards):
    """Return what windows are laid in; those in a row do not depend on the elements."""
    around = get_annotation_entry(wildcards.annotation)["windows"] == AROUND
    return get_annotated_genome(wildcards) | (get_element_files(wildcards) if around else {})


def get_window_settings(wildcards):
    entry = get_annotation_entry(wildcards.annotation)
    keys = ["contigs", "windows", "bases"]
    keys += ["elements", "each", "seed"] if entry["windows"] == AROUND else []
    return {"annotation": wildcards.annotation, **{key: entry[key] for key in keys}}


def get_read_windows(wildcards):
    """Return the windows, their genome and a model: what a forward pass takes."""
    windows = f"<results>/interpretation/windows/{wildcards.annotation}.parquet"
    return {
        **get_annotated_genome(wildcards),
        **get_model_files(wildcards),
        "windows": windows,
    }


def get_annotated_windows(wildcards):
    return get_read_windows(wildcards) | get_element_files(wildcards)


def get_interpretation_settings(wildcards, section):
    entry = get_annotation_entry(wildcards.annotation)
    named = {"annotation": wildcards.annotation, "model": wildcards.model}
    return {**config[section], **named, "elements": entry["elements"]}


def get_counting_settings(wildcards):
    thresholds = config["attention"]["thresholds"]
    return {"annotation": wildcards.annotation, "thresholds": thresholds}


def get_attention_settings(wildcards):
    return get_interpretation_settings(wildcards, "attention")


def get_reconstruction_settings(wildcards):
    return get_interpretation_settings(wildcards, "reconstruction") | get_own_embedder(wildcards)


def get_map_settings(wildcards):
    return get_interpretation_settings(wildcards, "maps") | get_own_embedder(wildcards)


def get_interpretation_tables(wildcards):
    """Return the tables of every annotation of the run, its analyses and models."""
    endings = {"attention": ["tsv"], "reconstruction": ["tsv"], "maps": ["tsv", "json"]}
    made = []
    for name in ANNOTATIONS:
        entry = get_annotation_entry(name)
        for analysis in entry["analyses"]:
            made += expand(
                f"<results>/interpretation/{analysis}/{name}/{{model}}.{{ending}}",
                model=[m for m in entry["models"] if analysis not in OF_OURS or m not in EMBEDDERS],
                ending=endings[analysis],
            )
    return made + list_likelihood_tables()


def get_annotated_manifests(wildcards):
    genomes = dict.fromkeys(
        [entry["genome"] for entry in ANNOTATIONS.values()] + list_likelihood_genomes()
    )
    return expand("<results>/genomes/{genome}/manifest.json", genome=genomes)


def get_published_models(wildcards):
    """Return the published name of each model of an annotation that has one."""
    models = [model for entry in [*ANNOTATIONS.values(), *MASKED] for model in entry["models"]]
    names = {model: config["models"].get(model, {}).get("published_as") for model in models}
    return {model: name for model, name in names.items() if name}


def get_interpretation(wildcards):
    """Return the page and the tables behind it, nothing where the run asks for none."""
    tables = get_interpretation_tables(wildcards)
    pages = ["<results>/interpretation.html"] if tables else []
    return [*pages, *tables, *list_tracks()]
