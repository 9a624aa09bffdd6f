"""What was run, as text: genomes, models and tasks with their identities."""

import math
from collections.abc import Mapping

import pandas as pd

from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.methods import BASELINE, BY_NAME
from dnalm.report.pages.grids import MISSING, Grid, count, large, make_grid, percent

MAX_NAMED = 4  # of more models their number is said
UNKNOWN = "unknown"  # what a user writes who cannot tell the licence
OTHER = "not one of ours"  # the kind of a model
POOLINGS = {"mean": "whole sequence", "centre": "around the centre", "cls": "first token"}


def facts_grids(tables: Mapping[str, pd.DataFrame]) -> dict[str, Grid]:
    """Return the grids genomes, models, tasks and checksums; corpora have cards of their own."""
    return {
        "genomes": _genomes(tables["genomes"]),
        "models": _models(tables["models"]),
        "tasks": _tasks(tables["tasks"]),
        "checksums": _checksums(tables),
    }


def run_sentence(summary: pd.DataFrame, models: pd.DataFrame) -> str:
    """Return in one sentence what was scored: models, tasks, methods and baselines."""
    baseline = summary["method"] == BASELINE
    untrained = set(models.loc[models["untrained_of"] != "", "model"])
    names = [name for name in summary.loc[~baseline, "model"].unique() if name not in untrained]
    methods = summary.loc[~baseline, "method"].unique()
    words = [BY_NAME[name].words if name in BY_NAME else name for name in methods]
    parts = [
        ", ".join(names) if 0 < len(names) <= MAX_NAMED else _number(len(names), "model"),
        f"on {_number(summary['task'].nunique(), 'task')}",
        *([f"by {' and '.join(words)}"] if words else []),
    ]
    others = _number(summary.loc[baseline, "model"].nunique(), "baseline")
    return f"What ran: {' '.join(parts)}, beside {others}."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count or 'no'} {noun}s"


def licence_notes(models: pd.DataFrame) -> list[str]:
    """Return a sentence for each licence of weights that were not made here, and whose it is."""
    sentences = []
    foreign = (models["positions"] == "") & (models["licence"] != "")
    given = models[(models["source"] != "") | foreign]
    for licence, own in given.groupby("licence", sort=False):
        names = ", ".join(own["model"])
        sources = ", ".join(filter(None, own["source"].unique())) or "embeddings as given"
        if licence == UNKNOWN:
            rest = "weights of unknown licence: ask before results made from them are shared"
        else:
            rest = f"weights {licence}: results made from them carry the licence"
        sentences.append(f"{names}: {rest} ({sources}).")
    return sentences


def simulated_note(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the words of the page and its figures of scores when data are simulated, else ''."""
    return note_of(
        pd.concat(
            [tables[name]["simulated"].astype(bool) for name in ("tasks", "genomes", "corpora")]
        )
    )


def note_of(flags: pd.Series) -> str:
    """Return what to say of data of which some, all or none are simulated."""
    flags = flags.astype(bool)
    if not flags.any():
        return ""
    if flags.all():
        return "Simulated data, not a real genome"
    return "Partly simulated data"


def token_sizes(corpora: pd.DataFrame) -> list[dict[str, str]]:
    """Return every k of the corpora, how many k-mers there are, and the loss of guessing one."""
    return [
        {"k": str(k), "words": f"{4**k:,}", "nats": f"{k * math.log(4):.2f}"}
        for k in sorted({int(k) for k in corpora["k"]})
    ]


def _genomes(genomes: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["genome"], row["species"] or MISSING],
            *[str(row["accession"] or MISSING), row["source"]],
            *[count(row[key]) for key in ("contigs", "bases")],
            *[percent(row[key], row["bases"]) for key in ("n", "soft_masked")],
            count(row["iupac"]),
        ]
        for row in genomes.to_dict("records")
    ]
    headings = ["genome", "species", "accession", "source", "contigs", "bases", "unknown (N)"]
    return make_grid([*headings, "soft-masked", "other letters → N"], rows, first=4)


def _models(models: pd.DataFrame) -> Grid:
    licensed = (models["licence"] != "").any()
    rows = [
        [
            *[row["model"], large(row["parameters"])],
            *[_size(row), _sort(row)],
            *[row["source"] or row["initialisation"] or MISSING, row["corpus"] or MISSING],
            *[_training(row), row["published_as"] or MISSING],
            *([row["licence"] or MISSING] if licensed else []),
        ]
        for row in models.to_dict("records")
    ]
    headings = ["model", "parameters", "size", "kind", "first weights", "corpus", "training"]
    headings += ["published as", *(["licence of the weights"] if licensed else [])]
    return make_grid(headings, rows, first=1, last=2)


def _size(model: Mapping) -> str:
    known = [
        f"{count(model[key])} {words}"
        for key, words in (("layers", "layers"), ("width", "wide"), ("heads", "heads"))
        if not pd.isna(model[key])
    ]
    return ", ".join(known) or MISSING


def _sort(model: Mapping) -> str:
    if not model["positions"]:
        return OTHER
    return f"{model['positions']} positions, {model['feed_forward']}"


def _training(model: Mapping) -> str:
    if model["source"] and not model["steps"]:
        return "weights as given"
    if model["untrained_of"]:
        return "none: initial weights"
    if not model["positions"]:
        return "embeddings as given"
    return f"{count(model['steps'])} steps, {large(model['training_tokens'])} tokens"


def _tasks(tasks: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["task"], _kind(row)],
            *[count(row["train_rows"]), count(row["test_rows"])],
            *[row["train_classes"], row["test_classes"], _lengths(row)],
            POOLINGS.get(row["pooling"], row["pooling"] or MISSING)
            if find_kind(row["kind"]).pooled
            else MISSING,
            *[row["cross_validation"] or MISSING, row["sources"], row["sha256"][:12]],
        ]
        for row in tasks.to_dict("records")
    ]
    headings = ["task", "kind", "train rows", "test rows", "train rows per class"]
    headings += ["test rows per class", "bases", "pooling", "splits", "made from", "sha256 begins"]
    return make_grid(headings, rows, first=2, last=7)


def _kind(task: Mapping) -> str:
    """Return what a row of the task has, in words."""
    kind = find_kind(task["kind"])
    what = kind.unit if task["classes"] == 1 else kind.units
    return f"{task['classes']} {what}" + ("" if kind.pooled else " for each base")


def _checksums(tables: Mapping[str, pd.DataFrame]) -> Grid:
    rows = [
        ["genome", row["genome"], row["sha256"]] for row in tables["genomes"].to_dict("records")
    ]
    for row in tables["tasks"].to_dict("records"):
        rows.append(["task table", row["task"], row["sha256"]])
        names, sums = row["sources"].split(", "), row["sources_sha256"].split(", ")
        rows += [
            ["task source", f"{row['task']}: {name}", value]
            for name, value in zip(names, sums, strict=True)
        ]
    rows += [
        ["model weights", row["model"], row["weights_sha256"]]
        for row in tables["models"].to_dict("records")
        if row["weights_sha256"]
    ]
    return make_grid(["what", "name", "sha256"], rows, first=3)


def _lengths(task: Mapping) -> str:
    if task["shortest"] == task["longest"]:
        return count(task["longest"])
    return f"{count(task['shortest'])} – {count(task['longest'])}"
