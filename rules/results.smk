"""Which results a run consists of, and what their names mean, for the tables of the report."""


def get_results(wildcards):
    """Return every result of the run, by the names that make_tables.py reads."""
    probes = expand("probes/{model}/{task}", model=PROBED, task=TASKS)
    baselines = expand("baselines/{baseline}/{task}", baseline=BASELINES, task=TASKS)
    flat = [f"<results>/{path}" for path in (*probes, *baselines)]
    nested = expand(
        "<results>/finetunes/{method}/{model}/{task}", method=FINETUNES, model=MODELS, task=TASKS
    )
    folder = "<results>/models/{model}"
    return {
        "scores": [f"{path}.tsv" for path in flat] + [f"{path}/scores.tsv" for path in nested],
        "summaries": [f"{path}.json" for path in flat]
        + [f"{path}/summary.json" for path in nested],
        "predictions": [f"{path}.predictions.parquet" for path in flat]
        + [f"{path}/predictions.parquet" for path in nested],
        "tasks": expand("<results>/tasks/{task}.json", task=TASKS),
        "genomes": expand("<results>/genomes/{genome}/manifest.json", genome=GENOMES),
        "corpora": expand("<results>/corpora/{corpus}/manifest.json", corpus=CORPORA),
        "runs": expand("<results>/models/{model}/run.json", model=[*MODELS, *UNTRAINED]),
        "histories": expand("<results>/models/{model}/history.jsonl", model=MODELS),
        "locations": [f"<results>/locations/{corpus}/{task}.parquet" for corpus, task in LOCATED],
    }


def get_identities(wildcards):
    """Return what the names in the results mean, which no result file says."""
    models = {
        model: {"published_as": config["models"][model].get("published_as"), "untrained_of": None}
        for model in MODELS
    }
    for model in UNTRAINED:
        trained = model.removesuffix(resolve.UNTRAINED)
        models[model] = {"published_as": None, "untrained_of": trained}
    return {
        "models": models,
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
        "histories": MODELS,
        "locations": [{"corpus": corpus, "task": task} for corpus, task in LOCATED],
    }
