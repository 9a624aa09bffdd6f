"""The page on pretraining alone: loss curves, masked-token accuracy, speed and utilisation."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.report.figures.pretraining import groups_figure, losses_figure, rates_figure
from dnalm.report.pages.context import context_grid
from dnalm.report.pages.grids import (
    MISSING,
    Grid,
    count,
    duration,
    large,
    make_grid,
    percent,
    score,
)
from dnalm.report.pages.template import render
from dnalm.report.tables.catalogue import PRETRAINING
from dnalm.report.tables.pretraining import ALL_WINDOWS, last_measured

TEMPLATE = "pretraining.html.j2"
FROM_ZERO, SHARE = {"zero": True}, {"domain": [0, 1]}
RATES = (
    ("tokens_per_second", "Tokens per second", FROM_ZERO, "~s"),
    ("gradient_norm", "Norm of the gradient before clipping", {"type": "log"}, "~g"),
    ("lr", "Learning rate", FROM_ZERO, "~g"),
    ("data_wait_share", "Share of the time spent waiting for data", SHARE, "~%"),
    ("mfu", "Model FLOPs utilisation", SHARE, "~%"),
)


def make_pretraining_page(
    tables: Mapping[str, pd.DataFrame], *, title: str, note: str, level: float
) -> str:
    """Return the page's HTML from the tables of `pretraining_tables`.

    `note` says that data are simulated, '' that none are (`dnalm.report.pages.facts.note_of`);
    `level` is the coverage of intervals.
    """
    held_out, progress, training = (tables[name] for name in ("held_out", "progress", "training"))
    ends = last_measured(held_out)
    drawn: dict[str, list[dict[str, Any]]] = {"losses": [], "groups": [], "rates": []}
    if len(held_out):
        drawn["losses"].append(losses_figure(held_out, note))
    in_groups = (held_out["group"] != ALL_WINDOWS) & (held_out["split"] == "validation")
    grouped = held_out.loc[in_groups, "model"].unique()
    drawn["groups"] = [groups_figure(held_out, model, note) for model in grouped]
    drawn["rates"] = [
        rates_figure(progress, quantity, words, scale, numbers, note)
        for quantity, words, scale, numbers in RATES
        if progress[quantity].notna().any()
    ]
    figures = {
        name: [{"id": f"{name}-{i}", "specification": chart} for i, chart in enumerate(charts)]
        for name, charts in drawn.items()
    }
    return render(
        TEMPLATE,
        title=title,
        note=note,
        findings=[_finding(row, ends) for row in training.to_dict("records")],
        figures=figures,
        specifications=[chart for charts in figures.values() for chart in charts],
        accuracies=accuracy_grid(ends, training),
        groups=groups_grid(ends),
        context=context_grid(tables["context"]),
        level=f"{level:.0%}".replace("%", " %"),
        training=training_grid(training),
        tables=[table.name for table in PRETRAINING],
    )


def accuracy_grid(ends: pd.DataFrame, training: pd.DataFrame) -> Grid:
    """Return loss, perplexity and masked-token accuracy at the end, of each model and split."""
    training = training.set_index("model")
    rows = [
        [
            *[row["model"], row["split"], count(row["windows"])],
            *[percent(training.loc[row["model"], "selected"], digits=0), count(row["masked"])],
            *[_nats(row["loss"]), _nats(row["unigram_loss"])],
            _nats(row["unigram_loss"] - row["loss"], sign=True),
            *[_large(row[key]) for key in ("window_perplexity", "unigram_window_perplexity")],
            *[percent(row[key]) for key in ("window_accuracy", "unigram_window_accuracy")],
            percent(row["accuracy"]),
            percent(training.loc[row["model"], "published_accuracy"], digits=1),
        ]
        for row in ends[ends["group"] == ALL_WINDOWS].to_dict("records")
    ]
    headings = ["model", "split", "windows", "tokens selected", "masked tokens", "loss, nats"]
    headings += ["k-mer frequencies only", "saved", "perplexity", "perplexity, frequencies only"]
    headings += ["accuracy", "accuracy, frequencies only", "accuracy, mean over tokens"]
    return make_grid([*headings, "accuracy, published"], rows, first=2)


def groups_grid(ends: pd.DataFrame) -> Grid:
    """Return the same by group of genomes; no row where genomes have no groups."""
    rows = [
        [
            *[row["model"], row["split"], row["group"]],
            *[count(row[key]) for key in ("genomes", "windows", "masked")],
            *[_nats(row["loss"]), _nats(row["unigram_loss"])],
            _nats(row["unigram_loss"] - row["loss"], sign=True),
            *[percent(row["accuracy"]), percent(row["unigram_accuracy"])],
        ]
        for row in ends[ends["group"] != ALL_WINDOWS].to_dict("records")
    ]
    headings = ["model", "split", "group", "genomes", "windows", "masked tokens", "loss, nats"]
    headings += ["k-mer frequencies only", "saved", "accuracy", "accuracy, frequencies only"]
    return make_grid(headings, rows, first=3)


def training_grid(training: pd.DataFrame) -> Grid:
    """Return how far, on what and how fast each model was trained."""
    known = training["mfu"].notna().any()
    rows = [
        [
            *[row["model"], row["corpus"], row["device"] or MISSING],
            *[row["precision"] or MISSING, count(row["processes"])],
            *[count(row["steps"]), large(row["tokens"]), f"{row['epochs']:.2f}"],
            *[large(row["tokens_per_second"]), _hours(row["device_hours"])],
            *([percent(row["mfu"]), row["mfu_denominator"] or MISSING] if known else []),
            *[_bytes(row["peak_memory_bytes"]), percent(row["data_wait_share"])],
            *[count(row["skipped_steps"]), count(row["thin_windows"])],
        ]
        for row in training.fillna({"device": "", "precision": "", "mfu_denominator": ""}).to_dict(
            "records"
        )
    ]
    headings = ["model", "corpus", "device", "precision", "processes", "steps", "tokens", "epochs"]
    headings += [
        "tokens/s",
        "device time",
        *(["MFU", "MFU is of"] if known else []),
        "memory per process",
    ]
    headings += ["waiting for data", "empty steps", "thin windows"]
    return make_grid(headings, rows, first=3)


def _finding(row: Mapping[str, Any], ends: pd.DataFrame) -> str:
    """Return one model's end of training in a sentence."""
    own = ends[
        (ends["model"] == row["model"])
        & (ends["split"] == "validation")
        & (ends["group"] == ALL_WINDOWS)
    ]
    start = f"{row['model']}: {count(row['steps'])} steps, {large(row['tokens'])} tokens"
    start += f" ({row['epochs']:.2g} epochs of {row['corpus']})"
    if own.empty:
        return f"{start}; nothing was measured on held-out windows."
    end = own.iloc[0]
    saved = end["unigram_loss"] - end["loss"]
    than = "less" if saved > 0 else "more"
    return (
        f"{start}. A masked token of a validation window costs {_nats(end['loss'])} nats, "
        f"{_nats(abs(saved))} {than} than by k-mer frequencies alone; "
        f"masked-token accuracy {percent(end['accuracy'])}, "
        f"of frequencies {percent(end['unigram_accuracy'])}."
    )


def _nats(value: Any, sign: bool = False) -> str:
    return score(value, sign=sign)


def _large(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{value:,.1f}" if value < 1e4 else large(value)


def _hours(hours: Any) -> str:
    return MISSING if pd.isna(hours) else duration(hours * 3600)


def _bytes(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{large(value)}B"
