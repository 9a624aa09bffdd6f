"""Tables of how models were pretrained: held-out windows by group of genomes, speed and use."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.context import context_table
from dnalm.report.tables.records import Identities
from dnalm.training.history import read_history

SPLITS = ("validation", "test")
MEANS = ("loss", "accuracy", "unigram_loss", "unigram_accuracy")
MEDIANS = [
    *["window_accuracy", "window_perplexity"],
    *["unigram_window_accuracy", "unigram_window_perplexity"],
]
# All windows; genomes without a group where others have one. Neither is a name that a user gives.
ALL_WINDOWS, NO_GROUP = "", "(no group)"
RATES = ["lr", "gradient_norm", "tokens_per_second", "data_wait_share"]


def pretraining_tables(
    runs: Mapping[str, Mapping[str, Any]],
    histories: Mapping[str, str],
    corpora: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, float],
    identities: Identities,
    bootstrap: BootstrapConfig,
) -> dict[str, pd.DataFrame]:
    """Return the tables of `catalogue.PRETRAINING` by name.

    held_out: losses (nats) and accuracies at <mask> positions of each measurement, of all windows
    of a split (group '', with the medians over windows) and by group of genomes. progress: the
    rates of each row of a history. training: one row per model. context: `context_table`.
    `runs` and `histories` are those of the pretrained models by name, `corpora` the manifests by
    which an epoch is known, `published` the accuracies of `read_reconstruction`.
    """
    lines = {model: read_history(histories[model]) for model in runs}
    rates = [
        {"model": model, **{key: line.get(key) for key in ("step", "tokens", *RATES)}}
        | {"mfu": (line["mfu"] or {}).get("value")}
        for model, rows in lines.items()
        for line in rows
        if "tokens_per_second" in line
    ]
    held_out = [
        row
        for model, rows in lines.items()
        for line in rows
        for row in _measured(model, line, identities.groups)
    ]
    epochs = {name: manifest["splits"]["train"]["tokens"] for name, manifest in corpora.items()}
    training = []
    for model, run in runs.items():
        row = _training(run, lines[model], epochs)
        name = identities.published_model(model) or ""
        row |= {
            "selected": run["pretrain"]["masking"]["selected"],
            "published_as": name,
            "published_accuracy": published.get(name),
        }
        training.append(row)
    return {
        "held_out": pd.DataFrame(held_out, columns=list_columns("held_out")),
        "context": context_table({model: histories[model] for model in runs}, bootstrap),
        "progress": pd.DataFrame(rates, columns=list_columns("progress")),
        "training": pd.DataFrame(training, columns=list_columns("training")),
    }


def last_measured(held_out: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last measurement of each model and split."""
    last = held_out.groupby(["model", "split"])["step"].transform("max")
    return held_out[held_out["step"] == last]


def _measured(
    model: str, line: Mapping[str, Any], groups: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one line of a history: for each split all windows, then each group."""
    for split in SPLITS:
        if line.get(f"{split}_loss_mask") is None:
            continue
        place = {"model": model, "step": line["step"], "tokens": line["tokens"], "split": split}
        genomes = line.get(f"{split}_genomes", {})
        whole = {key: line[f"{split}_{key}_mask"] for key in ("loss", "accuracy")}
        whole |= {key: line[f"{split}_{key}"] for key in ("unigram_loss", "unigram_accuracy")}
        yield {
            **place,
            "group": ALL_WINDOWS,
            **_sums(list(genomes.values())),
            **whole,
            **{key: line.get(f"{split}_{key}") for key in MEDIANS},
        }
        members: dict[str, list[Mapping[str, Any]]] = {}
        for genome, facts in genomes.items():
            members.setdefault(groups.get(genome, NO_GROUP), []).append(facts)
        if set(members) - {NO_GROUP}:
            for group, facts in sorted(members.items()):
                yield {**place, "group": group, **_sums(facts), **_means(facts)}


def _sums(genomes: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    if not genomes:  # a history of before these were counted
        return {}
    return {
        "genomes": len(genomes),
        "windows": sum(genome["windows"] for genome in genomes),
        "masked": sum(genome["tokens"] for genome in genomes),
    }


def _means(genomes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return means over the masked tokens of several genomes."""
    total = sum(genome["tokens"] for genome in genomes)
    return {key: sum(genome[key] * genome["tokens"] for genome in genomes) / total for key in MEANS}


def _training(
    run: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], epochs: Mapping[str, int]
) -> dict[str, Any]:
    """Return one row on how a model was trained; speeds are means over time."""
    rows = [line for line in lines if "tokens_per_second" in line]
    last = max(lines, key=lambda line: line["step"])
    facts = {"model": run["model"], "corpus": run["corpus"]}
    facts |= {"steps": last["step"], "tokens": last["tokens"]}
    facts["epochs"] = last["tokens"] / epochs[run["corpus"]]
    if not rows:
        return facts
    before = [0, *(row["tokens"] for row in rows[:-1])]
    seconds = [
        (row["tokens"] - start) / row["tokens_per_second"]
        for row, start in zip(rows, before, strict=True)
    ]
    used = [row for row in rows if row["mfu"]]
    # Histories of before processes were written have none.
    processes = [row["processes"] for row in rows if "processes" in row]
    return facts | {
        "device": rows[-1].get("device", ""),
        "precision": rows[-1].get("precision", ""),
        "processes": processes[-1] if processes else None,
        "tokens_per_second": last["tokens"] / sum(seconds),
        "device_hours": sum(
            time * row.get("processes", 1) for time, row in zip(seconds, rows, strict=True)
        )
        / 3600,
        "mfu": _mean([row["mfu"]["value"] if row["mfu"] else None for row in rows], seconds),
        "mfu_denominator": used[-1]["mfu"]["denominator"] if used else "",
        "peak_memory_bytes": max(row["peak_memory_bytes"] for row in rows),
        "data_wait_share": _mean([row["data_wait_share"] for row in rows], seconds),
        **{key: rows[-1][key] for key in ("skipped_steps", "thin_windows")},
    }


def _mean(values: Sequence[float | None], seconds: Sequence[float]) -> float | None:
    """Return the mean over time of what was known, None of nothing."""
    known = [
        (value, time) for value, time in zip(values, seconds, strict=True) if value is not None
    ]
    total = sum(time for _, time in known)
    return sum(value * time for value, time in known) / total if known else None
