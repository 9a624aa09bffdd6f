"""The workload of a run: what its configuration asks each stage to do, in numbers and names."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dnalm.benchmark.tasks.recipes.table import find_recipe
from dnalm.benchmark.tasks.schemes import GIVEN, SHUFFLE
from dnalm.configuration.cross_validation import resolve_cross_validation
from dnalm.configuration.finetuning import resolve_method, resolve_network
from dnalm.configuration.interpretation.amounts import (
    SECTIONS,
    count_lines,
    describe_interpretation,
)
from dnalm.configuration.panels import resolve_panel
from dnalm.configuration.predictions import resolve_prediction
from dnalm.configuration.prioritisation import resolve_supervised
from dnalm.configuration.resolve import resolve_corpus, resolve_run, resolve_task
from dnalm.configuration.variants import resolve_variants
from dnalm.configuration.weights import UNTRAINED, is_foreign

SPLITS = ("train", "test")
# Sections that amounts and rates are read from as they are.
OF_CONFIG = (
    *("embed", "probe", "mlp", "exposure", "estimate"),
    *("attention", "reconstruction", "maps"),
)
PACKED, PACKED_FACTOR = (".gz", ".bgz", ".parquet"), 4


def resolve_workload(
    config: Mapping[str, Any], selected: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the stages of a run are to do.

    `selected` are names: `pretrained`, `probed` and `tuned` models, `tasks` and of these `pooled`
    ones, `probes`, `finetunes` and `baselines`, `predictions`, `located` tasks and the genomes
    `searched` for them (by sheet, None for those of the configuration), `panels`, sets of
    `variants`, entries of interpretation. `found` are `tasks`, `genomes`, `contigs`, `predictions`
    and `assays` of which files at hand know more: {task: its summary}, {genome: bases},
    {genome: {contig: bases}}, {prediction: bases}, {assay: alleles}.
    Of what is not known before a download the section `estimate` says what it says; the rest is
    None.
    """
    models = dict.fromkeys(
        [*selected["pretrained"], *selected["probed"], *selected["tuned"]]
        + [config["predictions"][name].get("model") for name in selected["predictions"]]
        + [model for name in selected["variants"] for model in config["variants"][name]["models"]]
        + [m for own in SECTIONS for name in selected[own] for m in config[own][name]["models"]]
    )
    models.pop(None, None)  # of predictions by networks from scratch
    tasks = dict.fromkeys(
        [*selected["tasks"]]
        + [config["predictions"][name]["task"] for name in selected["predictions"]]
    )
    baselines = selected["baselines"]
    networks = {
        name: resolve_network(config, name)
        for name in baselines
        if "network" in config["baselines"][name]
    }
    return {
        "models": {model: describe_model(config, model) for model in models},
        "tasks": {task: count_rows(config, task, found["tasks"].get(task)) for task in tasks},
        **{key: list(selected[key]) for key in ("pretrained", "probed", "tuned", "pooled")},
        "tuned_tasks": list(selected["tasks"]),
        "probes": list(selected["probes"]),
        "finetunes": {name: resolve_method(config, name) for name in selected["finetunes"]},
        "networks": networks,
        "baselines": {
            name: config["baselines"][name] for name in baselines if name not in networks
        },
        "predictions": {
            name: {
                "model": None,  # of a network from scratch
                **resolve_prediction(config, name),
                "bases": found["predictions"][name],
            }
            for name in selected["predictions"]
        },
        "variants": {name: describe_variants(config, name) for name in selected["variants"]},
        **describe_interpretation(config, selected, found),
        "variant_methods": {
            method: resolve_method(config, method)
            for name in selected["variants"]
            for method in config["variants"][name].get("finetune", [])
        },
        "located": list(selected["located"]),
        "searched": count_bases(config, selected["searched"], found["genomes"]),
        "panels": {
            name: {**resolve_panel(config, name), **config["estimate"]["panels"].get(name, {})}
            for name in selected["panels"]
        },
        "evaluation_windows": config["corpus"]["evaluation_windows"],
        "splits": config["cross_validation"]["splits"],
        **{key: config[key] for key in OF_CONFIG},
    }


def describe_model(config: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """Return a model's run and, where it is pretrained, its corpus and cadence; None if foreign."""
    name = model.removesuffix(UNTRAINED)
    if is_foreign(config, name):
        return None
    run = resolve_run(config, model)
    corpus = run["corpus"]
    operation = {**config["operation"], **config["models"][name].get("operation", {})}
    return {
        "run": run,
        "corpus": resolve_corpus(config, corpus, []) if corpus else None,
        **{key: operation[key] for key in ("micro_batch", "validate_every", "keep_last")},
    }


def describe_variants(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a set's settings, models and methods, and its alleles as they are stated, or None."""
    entry = config["variants"][name]
    return {
        **resolve_variants(config, name),
        "models": entry["models"],
        "finetune": entry.get("finetune", []),
        "groups": resolve_supervised(config, name)["groups"],
        "alleles": config["estimate"]["variants"].get(name),
    }


def count_rows(
    config: Mapping[str, Any], name: str, summary: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return kind, classes, bases of a row and rows of both splits of a task; None is not known.

    By the `summary` of its table where there is one, else as its entry states them: the published
    counts, or of windows that are drawn the most that is kept. `splits` are those of its
    cross-validation, each of which validates on the share `validated` of the training rows; of the
    scheme given, where a few rows of their own validate, the share is taken as 0.
    """
    task = resolve_task(config, name)
    build = task.get("build") or {}
    folds = resolve_cross_validation(config, name)
    if build and find_recipe(build["recipe"]).of_bases:  # which draws no windows
        build = {**build, "maximum": None}
    if summary:
        rows, bases = summary["rows"], summary["lengths"]["median"]
    else:
        rows = task["rows"] or build.get("maximum") or {}
        bases = task["length"] or build.get("length")
    facts = {"kind": task["kind"], "classes": task["classes"], **(summary or {})}
    return {
        "kind": facts["kind"] or "binary",
        "classes": facts["classes"] or 2,
        "bases": bases,
        "splits": folds["splits"],
        "validated": _share(folds),
        **{split: rows.get(split) for split in SPLITS},
    }


def _share(folds: Mapping[str, Any]) -> float:
    if folds["scheme"] == GIVEN:
        return 0.0
    return folds["validation_share"] if folds["scheme"] == SHUFFLE else 1 / folds["splits"]


def find_contig_bases(genome: Mapping[str, Any], path: str | Path) -> dict[str, int] | None:
    """Return the bases of each contig of a genome by the table at `path`, which may be missing.

    Those of a simulated genome are stated by its entry; of any other they are None without a table.
    """
    if Path(path).exists():
        return read_contig_bases(path)
    if "simulate" in genome and not genome.get("contigs"):
        return dict(genome["simulate"]["contigs"])
    return None


def read_contig_bases(path: str | Path) -> dict[str, int]:
    """Return the bases of each contig of a genome by their table, of all its pieces."""
    bases: dict[str, int] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            bases[row["contig"]] = bases.get(row["contig"], 0) + int(row["length"])
    return bases


def count_source_bases(entry: Mapping[str, Any], path: str) -> float | None:
    """Return about how many bases a prediction reads of `path`; None where that is not known yet.

    A byte is a base, a compressed one four; of intervals each line is a window.
    """
    if "path" not in entry:
        lines = count_lines(path) if entry.get("window") else None
        return None if lines is None else float(entry["window"] * lines)
    if not Path(path).is_file():
        return None
    return float((PACKED_FACTOR if path.endswith(PACKED) else 1) * Path(path).stat().st_size)


def count_bases(
    config: Mapping[str, Any],
    genomes: Mapping[str | None, Iterable[str]],
    found: Mapping[str, int],
) -> dict[str, int | None]:
    """Return the bases of genomes, those of a sheet together where its own total is stated."""
    stated: Mapping[str, int] = config["estimate"]["bases"]
    counted: dict[str, int | None] = {}
    for sheet, names in genomes.items():
        own = {name: found.get(name, stated.get(name)) for name in names}
        if sheet is not None and sheet in stated and None in own.values():
            counted[sheet] = stated[sheet]
        else:
            counted |= own
    return counted
