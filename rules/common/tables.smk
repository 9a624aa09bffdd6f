"""Which results a run consists of, what their names mean, and the tables made of them."""

from dnalm.report.tables.catalogue import BENCHMARK, OF_VARIANTS, PRETRAINING

PUBLISHED_SCORES = find_resource("published_scores.tsv")


def get_table_outputs(tables):
    """Return the files of some tables of the catalogue, by name, each with its caption."""
    return {
        table.name: report(
            f"<results>/tables/{table.name}.tsv",
            caption=f"../resources/captions/{table.name}.rst",
            category="Tables",
        )
        for table in tables
    }


def list_baselines(path):
    """Return a path for each baseline that is run and each task of which it says something."""
    rows = [methods.SEQUENCE_BASELINES[name] for name in BASELINES]
    pooled = [row.name for row in rows if row.features]
    of_bases = [row.name for row in rows if row.bases]
    networks = [row.name for row in rows if row.network]
    return [
        *expand(path, baseline=pooled, task=POOLED),
        *expand(path, baseline=of_bases, task=OF_BASES),
        *expand(path, baseline=networks, task=TASKS),
    ]


def list_result_paths():
    """Return what names each result: its path below the results, without the ends of its files."""
    return [
        *expand("{probe}/{model}/{task}", probe=PROBES, model=PROBED, task=POOLED),
        *list_baselines("baselines/{baseline}/{task}"),
        *list_finetunes("finetunes/{method}/{model}/{task}/"),
    ]


def list_files(path, results):
    """Return the files of a result in the folder `results`; its summary says what it is of."""
    if path.endswith("/"):
        endings = {
            "scores": "scores.tsv",
            "summary": "summary.json",
            "predictions": "predictions.parquet",
            "history": "history.tsv",
        }
    else:
        endings = {"scores": ".tsv", "summary": ".json", "predictions": ".predictions.parquet"}
    return {role: f"{results}/{path}{end}" for role, end in endings.items()}


def list_results(results):
    """Return the files of each result in the folder `results`."""
    return [list_files(path, results) for path in list_result_paths()]


def list_histories(results):
    """Return {model: its history}: the rows of a history, an output of training, name no model."""
    return {model: f"{results}/models/{model}/history.jsonl" for model in PRETRAINED}


def get_histories(wildcards):
    return list_histories(get_place("<results>"))


def get_result_files(wildcards):
    return list_results(get_place("<results>"))


def list_named_files(results):
    """Return, by name, the files that cannot say what they are of, or did not say it once.

    An array has no room for a name, training reads the k-mer counts, and Parquet files of older
    results lack theirs: none of these is worth being made again.
    """
    return {
        "audit_rows": {task: f"{results}/audits/{task}.rows.parquet" for task in TASKS},
        "kmer_counts": {
            corpus: f"{results}/corpora/{corpus}/kmer_counts.npy" for corpus in CORPORA
        },
        "panel_samples": {panel: f"{results}/haplotypes/{panel}/samples.tsv" for panel in PANELS},
        "histories": list_histories(results),
        "locations": {
            corpus: {task: f"{results}/locations/{corpus}/{task}.parquet" for task in LOCATED}
            for corpus in BENCHMARKED
        },
    }


def get_named_files(wildcards):
    return list_named_files(get_place("<results>"))


def list_described(results):
    """Return the JSON files that say themselves what they are of, by kind."""
    return {
        "tasks": expand(f"{results}/tasks/{{task}}.json", task=TASKS),
        "audits": expand(f"{results}/audits/{{task}}.json", task=TASKS),
        "genomes": expand(f"{results}/genomes/{{genome}}/manifest.json", genome=GENOMES),
        "corpora": expand(f"{results}/corpora/{{corpus}}/manifest.json", corpus=CORPORA),
        "panels": expand(f"{results}/haplotypes/{{panel}}/manifest.json", panel=PANELS),
        "runs": expand(
            f"{results}/models/{{model}}/run.json", model=[*PRETRAINED, *IMPORTED, *UNTRAINED]
        ),
        "embedders": expand(
            f"{results}/models/{{model}}/embedder.json",
            model=[model for model in FOREIGN if model not in EMBEDDINGS_ALONE],
        ),
    }


def get_results(wildcards):
    """Return every result of the run: the JSON files that say what they are of, and all others."""
    named = list_named_files("<results>")
    located = named.pop("locations")
    return {
        **list_described("<results>"),
        "results": [path for files in list_results("<results>") for path in files.values()],
        "locations": [path for files in located.values() for path in files.values()],
        **{kind: list(files.values()) for kind, files in named.items()},
    }


def get_identities(wildcards):
    """Return what the names in the results mean, which no result file says, and their order."""
    models = {
        model: {"published_as": config["models"][model].get("published_as"), "untrained_of": None}
        for model in [*MODELS, *config["run"]["pretrain_only"]]
    }
    for model in UNTRAINED:
        trained = model.removesuffix(resolve.UNTRAINED)
        models[model] = {"published_as": None, "untrained_of": trained}
    return {
        "models": {
            model: {
                **names,
                **weights.describe_rights(config, model),
                **({"foreign": True} if model in FOREIGN else {}),
                **({"embeddings_alone": True} if model in EMBEDDINGS_ALONE else {}),
            }
            for model, names in models.items()
        },
        "tasks": {
            task: {
                "published_as": get_task_entry(task)["published_as"],
                "pooling": get_task_entry(task)["pooling"] or config["embed"]["pooling"],
                "category": get_task_entry(task)["category"],
            }
            for task in TASKS
        },
        "methods": {
            name: method["adapter"] for name, method in config["finetune"]["methods"].items()
        },
        "species": {name: row["species"] for name, row in GENOMES.items() if row.get("species")},
        "groups": {name: row["group"] for name, row in GENOMES.items() if row.get("group")},
        "baselines": BASELINES,
        "genomes": list(GENOMES),
        "corpora": list(CORPORA),
        "panels": PANELS,
    }
