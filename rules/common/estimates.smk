"""What the rules of estimates are given: the configuration, and what is known by results at hand."""

import json


def get_operations(wildcards):
    """Return {model: its operation.json}, which names no model."""
    models = get_place("<results>/models")
    return {model: f"{models}/{model}/operation.json" for model in PRETRAINED}


def find_known():
    """Return what results at hand know: tasks by their summaries, genomes and files by bases."""
    tables = {task: Path(get_place(f"<results>/tasks/{task}.json")) for task in NEEDED_TASKS}
    contigs = {
        genome: workload.find_contig_bases(
            entry, get_place(f"<results>/genomes/{genome}/contigs.tsv")
        )
        for genome, entry in NEEDED_GENOMES.items()
    }
    contigs = {genome: bases for genome, bases in contigs.items() if bases}
    return {
        "tasks": {
            task: json.loads(path.read_text()) for task, path in tables.items() if path.exists()
        },
        "genomes": {genome: sum(bases.values()) for genome, bases in contigs.items()},
        "contigs": contigs,
        "assays": {
            name: amounts.count_table_rows(get_place(entry["table"]))
            for name, entry in ASSAYS.items()
        },
        "predictions": {
            name: workload.count_source_bases(entry, get_place(entry.get("path", entry.get("bed"))))
            for name, entry in PREDICTIONS.items()
        },
    }


def get_searched():
    """Return the genomes that are searched for tasks, by the sheet that lists them."""
    sheets = {None: []}
    for corpus in BENCHMARKED if LOCATED else ():
        entry = config["corpora"][corpus]
        own = entry.get("genomes", [])
        sheets[None] += [name for name in own if name not in sheets[None]]
        if "sheet" in entry:
            sheets[entry["sheet"]] = [name for name in CORPORA[corpus] if name not in own]
    return sheets


def get_workload(wildcards):
    selected = {
        "pretrained": PRETRAINED,
        "probed": PROBED,
        "tuned": TUNED if FINETUNES else [],
        "tasks": TASKS,
        "pooled": POOLED,
        "probes": [name for name in config["run"]["methods"] if name in methods.PROBE_NAMES],
        "finetunes": FINETUNES,
        "baselines": BASELINES,
        "predictions": list(PREDICTIONS),
        "variants": list(VARIANTS),
        "located": LOCATED,
        "searched": get_searched(),
        "panels": PANELS,
        "annotations": list(ANNOTATIONS),
        "snps": list(SNPS),
        "assays": list(ASSAYS),
        "tracks": list(TRACKS),
    }
    return workload.resolve_workload(config, selected, find_known())
