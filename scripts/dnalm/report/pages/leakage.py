"""Leakage between splits and from pretraining, as tables of the page."""

from typing import Any

import pandas as pd

from dnalm.report.metric_names import shared_name
from dnalm.report.pages.grids import MISSING, Grid, count, interval, make_grid, score
from dnalm.report.tables.audits import EXPOSURE, RELATED

NOT_SEARCHED = "not looked for"
SPLITS = ("train", "test")
# Of the relations that are shown as a share: the rows they are a share of.
OTHERS = {"train_in_other_folds": "train", "within_train": "train", "within_test": "test"}
UNSEEN = {
    "too_short": "Rows of fewer than 14 known bases, or without seven in a row, are too short to "
    "be compared well: {}. Identical ones are found, near duplicates may be missed.",
    "repeats_not_followed": "Stretches that stand at very many places were followed to a sample of "
    "them, in the row's own split or fold and in the others: {}. Of a large family some near "
    "duplicates of each row are found, not all; a relation to rows with which it shares nothing "
    "rarer than such stretches may be missed.",
}
# From which share of leaking test rows on a score is marked, and how.
MARKS = ((0.1, "‡"), (0.01, "†"))


def identity_grid(audits: pd.DataFrame) -> Grid:
    """Return how many rows of each task repeat, nearly repeat or overlap others."""
    rows = [
        [
            *[row["task"], count(row["test_rows"])],
            *[count(row[f"test_in_train_{relation}"]) for relation in RELATED],
            *[
                _share(
                    sum(row[f"{where}_{relation}"] for relation in RELATED), row[f"{split}_rows"]
                )
                for where, split in OTHERS.items()
            ],
            count(row["other_labels"]),
        ]
        for row in audits.to_dict("records")
    ]
    headings = ["task", "test rows", "identical to a training row", "near duplicate of one"]
    headings += ["overlapping one", "training rows related to one of another fold"]
    headings += ["training rows related to another", "test rows related to another"]
    return make_grid([*headings, "rows with a twin of another label"], rows, first=1)


def search_notes(audits: pd.DataFrame) -> list[str]:
    """Return what the search for related rows could not see, a sentence for each sort."""
    notes = []
    for column, sentence in UNSEEN.items():
        of = audits[audits[column].fillna(0) > 0]
        numbers = [f"{count(row[column])} in {row['task']}" for row in of.to_dict("records")]
        if numbers:
            notes.append(sentence.format(", ".join(numbers)))
    return notes


def confounding_grid(audits: pd.DataFrame) -> Grid:
    """Return how strongly GC content, length and strand go with labels, and shared contigs."""
    rows = [
        [
            row["task"],
            *[score(row[f"{what}_strength"]) for what in ("gc", "length", "strand")],
            row["contigs_from"] or MISSING,
            *[count(row[f"{split}_placed"]) for split in SPLITS],
            *[count(row["shared_contigs"]), _share(row["test_rows_shared"], row["test_placed"])],
        ]
        for row in audits.to_dict("records")
    ]
    headings = ["task", "GC content", "length", "strand", "contigs are those of"]
    headings += [
        "train rows with a contig",
        "test rows with one",
        "contigs with rows of both",
        "test rows on these",
    ]
    return make_grid(headings, rows, first=1)


def exposure_grid(exposure: pd.DataFrame) -> Grid:
    """Return where the test rows lie in the genomes on which models were pretrained."""
    rows = [
        [
            *[row["task"], row["corpus"], row["models"] or MISSING, count(row["rows"])],
            *[_share(row[name], row["rows"]) for name in EXPOSURE],
        ]
        for row in exposure.to_dict("records")
    ]
    headings = ["task", "corpus", "models", "test rows", *EXPOSURE.values()]
    return make_grid(headings, rows, first=3)


def clean_grid(summary: pd.DataFrame) -> Grid:
    """Return scores on all test rows and on the clean ones, of tasks where these differ."""
    rows = [
        [
            *[row["task"], row["series"], count(row["rows"]), score(row["score_mean"])],
            *[interval(row["low"], row["high"]), count(row["clean_rows"])],
            *[score(row["clean_score"]), interval(row["clean_low"], row["clean_high"])],
            score(row["clean_score"] - row["score_mean"], sign=True),
        ]
        for row in summary[summary["clean_rows"] < summary["rows"]].to_dict("records")
    ]
    name = shared_name(summary["metric"])
    headings = ["task", "method", "test rows", name, "interval", "clean test rows"]
    return make_grid([*headings, f"{name} on these", "interval", "change"], rows, first=2)


def add_marks(table: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `mark` made of its task's share of leaking test rows."""
    shares = summary.groupby("task")["leaking_share"].first()
    marks = [mark(shares.get(task, 0.0)) for task in table["task"]]
    return table.assign(mark=pd.Series(marks, index=table.index, dtype=object))


def mark(share: float) -> str:
    """Return the mark of a share of test rows that leak."""
    return next((sign for least, sign in MARKS if share >= least), "")


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


def _share(part: Any, whole: Any) -> str:
    """Return a number with its share of the whole; a dash for none."""
    if pd.isna(part):
        return MISSING
    return count(part) + (f" ({part / whole:.1%})" if part else "")


def lift_grid(lift: pd.DataFrame) -> Grid:
    """Return trained − untrained by where the test rows lie in the pretraining genomes."""
    rows = [
        [
            *[row["task"], row["series"], row["region"], count(row["rows"])],
            *[score(row["score"]), score(row["untrained_score"]), score(row["lift"], sign=True)],
            interval(row["low"], row["high"], sign=True),
        ]
        for row in lift.to_dict("records")
    ]
    name = shared_name(lift["metric"])
    headings = ["task", "method", "test rows that are", "rows", name, f"{name}, untrained"]
    return make_grid([*headings, "trained − untrained", "interval"], rows, first=3)
