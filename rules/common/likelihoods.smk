"""What the rules of probabilities of masked tokens are given, and which files they make."""


def get_snp_entry(name):
    """Return an entry of `snps:`, defaults filled in."""
    return likelihoods.resolve_entry(config, "snps", name)


def get_snp_panel(wildcards):
    """Return the stores of the panel of an entry, on its contigs, and the genome that they are of."""
    entry = get_snp_entry(wildcards.snps)
    panel = config["panels"][entry["panel"]]
    genome = f"<results>/genomes/{panel['genome']}"
    contigs = entry["contigs"] or panel["contigs"]
    return {
        "stores": [f"<results>/haplotypes/{entry['panel']}/contigs/{name}" for name in contigs],
        "bases": f"{genome}/bases.npy",
        "contigs": f"{genome}/contigs.tsv",
    }


def get_snp_samples(wildcards):
    return f"<results>/haplotypes/{get_snp_entry(wildcards.snps)['panel']}/samples.tsv"


def get_snp_settings(wildcards):
    entry = get_snp_entry(wildcards.snps)
    keys = ("frequencies", "tolerance", "each", "carriers", "by", "bases", "seed")
    return {"snps": wildcards.snps, **{key: entry[key] for key in keys}}


def get_trained_people(wildcards):
    """Return the samples of the panel that a model was trained on, nothing without one."""
    _, panel = likelihoods.find_training_panel(config, wildcards.model)
    return {"trained": f"<results>/haplotypes/{panel}/samples.tsv"} if panel else {}


def get_masked_snps(wildcards):
    return get_snp_panel(wildcards) | get_model_files(wildcards) | get_trained_people(wildcards)


def get_masking_settings(wildcards):
    entry = get_snp_entry(wildcards.snps)
    known, _ = likelihoods.find_training_panel(config, wildcards.model)
    names = {"snps": wildcards.snps, "model": wildcards.model}
    return {
        **names,
        "bases": entry["bases"],
        "carriers": entry["carriers"],
        "corpus_known": known,
        **get_own_embedder(wildcards),
    }


def get_assay_files(wildcards):
    """Return the table of an assay, its genome and a model."""
    entry = likelihoods.resolve_entry(config, "assays", wildcards.assay)
    genome = f"<results>/genomes/{entry['genome']}"
    return get_model_files(wildcards) | {
        "table": entry["table"],
        "bases": f"{genome}/bases.npy",
        "contigs": f"{genome}/contigs.tsv",
        "manifest": f"{genome}/manifest.json",
    }


def get_assay_settings(wildcards):
    settings = likelihoods.resolve_assay(config, wildcards.assay) | {"model": wildcards.model}
    return leave_batches(settings) | get_own_embedder(wildcards)


def get_assay_batches(wildcards, output):
    return keep_batches(likelihoods.resolve_assay(config, wildcards.assay))


def get_tracked_genome(wildcards):
    genome = f"<results>/genomes/{config['tracks'][wildcards.track]['genome']}"
    files = {"bases": f"{genome}/bases.npy", "contigs": f"{genome}/contigs.tsv"}
    return get_model_files(wildcards) | files


def get_track_settings(wildcards):
    entry = likelihoods.resolve_entry(config, "tracks", wildcards.track)
    names = {"track": wildcards.track, "model": wildcards.model, "frame": int(wildcards.frame)}
    settings = {key: entry[key] for key in ("contigs", "share", "bases", "format")}
    return names | settings | get_own_embedder(wildcards)


def list_likelihood_tables():
    """Return the tables of every entry of the run that the page shows, of all its models."""
    snps = [
        f"<results>/interpretation/snps/{name}/{model}.tsv"
        for name, entry in SNPS.items()
        for model in entry["models"]
    ]
    assays = [
        f"<results>/interpretation/assays/{name}/{model}.{ending}"
        for name, entry in ASSAYS.items()
        for model in entry["models"]
        for ending in ("tsv", "parquet")
    ]
    return snps + assays


def list_tracks():
    """Return the folders of tracks of every entry of the run, its models and frames."""
    return [
        f"<results>/interpretation/tracks/{name}/{model}.frame{frame}"
        for name, entry in TRACKS.items()
        for model in entry["models"]
        for frame in entry["frames"]
    ]


def list_likelihood_genomes():
    """Return the genomes of what the page shows, for whether they are simulated."""
    panels_of_snps = (config["panels"][entry["panel"]] for entry in SNPS.values())
    return [entry["genome"] for entry in [*panels_of_snps, *ASSAYS.values()]]
