"""Which results a run consists of, and what their names mean."""


def get_panel(corpus):
    """Return the panel whose haplotypes a corpus reads, None for most."""
    return (config["corpora"][corpus].get("haplotypes") or {}).get("panel")


def get_results(wildcards):
    """Return every result of the run, by the names that make_tables.py reads."""
    probes = expand("{probe}/{model}/{task}", probe=PROBES, model=PROBED, task=POOLED)
    baselines = expand("baselines/{baseline}/{task}", baseline=BASELINES, task=POOLED)
    flat = [f"<results>/{path}" for path in (*probes, *baselines)]
    nested = expand(
        "<results>/finetunes/{method}/{model}/{task}", method=FINETUNES, model=MODELS, task=TASKS
    )
    panels = dict.fromkeys(filter(None, map(get_panel, CORPORA)))
    return {
        "scores": [f"{path}.tsv" for path in flat] + [f"{path}/scores.tsv" for path in nested],
        "summaries": [f"{path}.json" for path in flat]
        + [f"{path}/summary.json" for path in nested],
        "predictions": [f"{path}.predictions.parquet" for path in flat]
        + [f"{path}/predictions.parquet" for path in nested],
        "tasks": expand("<results>/tasks/{task}.json", task=TASKS),
        "audits": expand("<results>/audits/{task}.json", task=TASKS),
        "audit_rows": expand("<results>/audits/{task}.rows.parquet", task=TASKS),
        "genomes": expand("<results>/genomes/{genome}/manifest.json", genome=GENOMES),
        "corpora": expand("<results>/corpora/{corpus}/manifest.json", corpus=CORPORA),
        "kmer_counts": expand("<results>/corpora/{corpus}/kmer_counts.npy", corpus=CORPORA),
        "panels": expand("<results>/haplotypes/{panel}/manifest.json", panel=panels),
        "panel_samples": expand("<results>/haplotypes/{panel}/samples.tsv", panel=panels),
        "runs": expand(
            "<results>/models/{model}/run.json", model=[*PRETRAINED, *IMPORTED, *UNTRAINED]
        ),
        "histories": expand("<results>/models/{model}/history.jsonl", model=PRETRAINED),
        "locations": [f"<results>/locations/{corpus}/{task}.parquet" for corpus, task in LOCATED],
    }


def get_identities(wildcards):
    """Return what the names in the results mean, which no result file says."""
    models = {
        model: {"published_as": config["models"][model].get("published_as"), "untrained_of": None}
        for model in [*PRETRAINED, *IMPORTED]
    }
    for model in UNTRAINED:
        trained = model.removesuffix(resolve.UNTRAINED)
        models[model] = {"published_as": None, "untrained_of": trained}
    return {
        "models": {
            model: {**names, **weights.describe_rights(config, model)}
            for model, names in models.items()
        },
        "tasks": {
            task: {
                "published_as": get_task_entry(task)["published_as"],
                "pooling": get_task_entry(task)["pooling"] or config["embed"]["pooling"],
            }
            for task in TASKS
        },
        "methods": {
            name: method["adapter"] for name, method in config["finetune"]["methods"].items()
        },
        "species": {name: row["species"] for name, row in GENOMES.items() if row.get("species")},
        "groups": {name: row["group"] for name, row in GENOMES.items() if row.get("group")},
        "histories": PRETRAINED,
        "locations": [{"corpus": corpus, "task": task} for corpus, task in LOCATED],
    }
