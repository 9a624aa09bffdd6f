"""Paired differences of scores as text."""

from typing import Any

import numpy as np
import pandas as pd

from dnalm.methods import ANOTHER, STRONGEST
from dnalm.report.metric_names import shared_name
from dnalm.report.pages.grids import MISSING, Grid, count, interval, make_grid, marked, score

MAX_PAIRS = 1000  # of trained methods, up to which the page shows all
OTHERS = {ANOTHER: "other method", STRONGEST: "strongest baseline"}


def comparison_grid(comparisons: pd.DataFrame, against: str) -> Grid:
    """Return the paired differences from `against`; where references differ they are named."""
    own = comparisons[comparisons["against"] == against]
    named = against in (ANOTHER, STRONGEST)
    rows = [
        [
            *[row["task"], row["series"], *([row["reference_series"]] if named else [])],
            *[marked(row, score(row[key])) for key in ("score", "reference_score")],
            *[score(row["difference"], sign=True), interval(row["low"], row["high"], sign=True)],
            *[probability(row["p_value"]), probability(row["p_adjusted"])],
            *[count(row["rows"]), row["verdict"]],
        ]
        for row in own.to_dict("records")
    ]
    name = shared_name(comparisons["metric"])
    headings = ["task", "method", *([OTHERS[against]] if named else []), name]
    headings += [f"{name}, {'other' if named else against}", "difference", "interval", "p"]
    headings += ["p, corrected", "test rows", "verdict"]
    return make_grid(headings, rows, first=3 if named else 2, last=len(headings) - 1)


def with_choices(comparisons: pd.DataFrame, choices: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons without most pairs of trained methods, where these are very many.

    Left are the pairs of which one is the choice of validation rows, which is what a reader asks
    about; of a hundred models there would be thousands for each task.
    """
    others = comparisons["against"] == ANOTHER
    if others.sum() <= MAX_PAIRS:
        return comparisons
    chosen = set(zip(choices["task"], choices["method"], choices["model"], strict=True))
    sides = [
        [key in chosen for key in zip(*(comparisons[name] for name in names), strict=True)]
        for names in (("task", "method", "model"), ("task", "reference_method", "reference"))
    ]
    return comparisons[~others | np.any(sides, axis=0)]


def probability(value: Any) -> str:
    """Return a p-value with two figures."""
    if pd.isna(value):
        return MISSING
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.995 else "1"
