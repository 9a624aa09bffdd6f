"""What models took from context, in sentences and as text of a table."""

from collections.abc import Mapping

import pandas as pd

from dnalm.report.pages.grids import MISSING, Grid, interval, make_grid, percent, score

LEARNED = "It has learned more than how common each k-mer is"
NOT_SHOWN = "That it has learned from context is not shown"


def context_findings(models: pd.DataFrame) -> list[str]:
    """Return what each model trained here learned, from the table `models`; one text for each.

    `LEARNED` is said only of a model that loses, at the same masks, both by the shuffling of the
    window's other tokens and by another window's tokens, with intervals above 0. A smaller loss
    than that of k-mer frequencies shows nothing: held-out contigs are of another composition.
    """
    trained = models[models["validation_loss"].notna()]
    return [f"{_losses(row)} {_context(row)}" for row in trained.to_dict("records")]


def is_shown(row: Mapping) -> bool:
    """Return whether both intervals, missing ones do not count, lie above 0."""
    return row["order_low"] > 0 and row["context_low"] > 0


def _losses(row: Mapping) -> str:
    text = f"{row['model']} ends at a validation loss of {score(row['validation_loss'])} nats"
    text += " at masked positions"
    if pd.notna(row["unigram_loss"]):
        text += f", against {score(row['unigram_loss'])} from k-mer frequencies alone"
    if pd.notna(row["tempered_loss"]):
        text += f" and {score(row['tempered_loss'])} from these to the power {row['exponents']}"
        if row["tempered_loss"] < row["validation_loss"]:
            text += ", which know no context and do better"
    return f"{text}."


def _context(row: Mapping) -> str:
    if pd.isna(row["order_gain"]) or pd.isna(row["context_gain"]):
        return (
            "What it took from context is missing: it was trained before this was measured, or "
            "there are fewer than two validation windows."
        )
    start = LEARNED if is_shown(row) else NOT_SHOWN
    text = (
        f"{start}: the same tokens cost {_gain(row, 'order')} nats more with the window's other "
        f"tokens shuffled (order) and {_gain(row, 'context')} more with another window's tokens "
        "around them (order and composition)"
    )
    if not is_shown(row) and row["composition_low"] > 0:
        text += f"; of the composition of a window it makes use ({_gain(row, 'composition')})"
    return f"{text}."


def _gain(row: Mapping, name: str) -> str:
    ends = interval(row[f"{name}_low"], row[f"{name}_high"])
    return f"{score(row[f'{name}_gain'])} ({ends})"


def context_grid(context: pd.DataFrame) -> Grid:
    """Return the table `context`, or that of models, as text; losses and gains in nats."""
    names = {"validation_loss": "loss", "validation_accuracy": "accuracy"}
    context = context.rename(columns=names)
    rows = [
        [
            *[row["model"], score(row["loss"]), score(row["shuffled_loss"])],
            *[score(row["foreign_loss"]), score(row["unigram_loss"]), score(row["tempered_loss"])],
            MISSING if pd.isna(row["exponents"]) else row["exponents"] or MISSING,
            *[
                text
                for name in ("order", "composition", "context")
                for text in (
                    score(row[f"{name}_gain"], sign=True),
                    interval(row[f"{name}_low"], row[f"{name}_high"], sign=True),
                )
            ],
            *[percent(row["accuracy"]), percent(row["unigram_accuracy"])],
        ]
        for row in context[context["loss"].notna()].to_dict("records")
    ]
    headings = ["model", "loss, nats", "others shuffled", "in another window"]
    headings += ["k-mer frequencies only", "to a power", "the power"]
    for name in ("order", "composition", "both"):
        headings += [f"gain by {name}", "interval"]
    return make_grid([*headings, "accuracy", "accuracy, frequencies only"], rows, first=1)
