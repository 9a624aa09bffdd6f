"""What test rows share with training rows and with pretraining, as tables of the page."""

from typing import Any

import pandas as pd

from dnalm.report.grids import Grid, count, make_grid, score
from dnalm.report.scoring import shared_name

NOT_SEARCHED = "not looked for"
SPLITS = ("train", "test")


def duplicates_grid(tasks: pd.DataFrame) -> Grid:
    """Return how often sequences of a task stand in it more than once."""
    rows = [
        [
            row["task"],
            *[count(row[f"duplicates_{w}"]) for w in ("within_train", "within_test", "across")],
        ]
        for row in tasks.to_dict("records")
    ]
    headings = ["task", "repeats within train", "within test", "test rows also in train"]
    return make_grid(headings, rows, first=1)


def overlaps_grid(tasks: pd.DataFrame) -> Grid:
    """Return how many rows were found in a genome and, of those, how many overlap others."""
    rows = [
        [
            row["task"],
            *[_of(row[f"{split}_rows_located"], row[f"{split}_rows"]) for split in SPLITS],
            _of(row["test_rows_overlapping"], row["test_rows_located"], share=True),
            _of(row["train_rows_overlapping_fold"], row["train_rows_located"], share=True),
        ]
        for row in tasks.to_dict("records")
    ]
    headings = ["task", "train rows located", "test rows located"]
    headings += ["located test rows overlapping a training row"]
    headings += ["located training rows overlapping one of another fold"]
    return make_grid(headings, rows, first=1)


def _of(part: Any, whole: Any, share: bool = False) -> str:
    """Return `part of whole`, with its share where there is a whole; missing: not looked for."""
    if pd.isna(part):
        return NOT_SEARCHED
    return f"{count(part)} of {count(whole)}" + (
        f" ({part / whole:.1%})" if share and whole else ""
    )


def lift_grid(lift: pd.DataFrame) -> Grid:
    """Return trained − untrained by where the test rows lie in the pretraining genomes."""
    rows = [
        [
            *[row["task"], row["series"], row["region"], count(row["rows"])],
            *[score(row["score"]), score(row["untrained_score"]), score(row["lift"], sign=True)],
            f"{score(row['low'], sign=True)} … {score(row['high'], sign=True)}",
        ]
        for row in lift.to_dict("records")
    ]
    name = shared_name(lift["metric"])
    headings = ["task", "method", "test rows that are", "rows", name, f"{name}, untrained"]
    return make_grid([*headings, "trained − untrained", "interval"], rows, first=3)
