"""Confusion matrices of the test rows, and ROC and precision-recall curves.

Letters in shapes: C classes or labels, P points of a curve.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.kinds import BASES, CLASS, Kind, find_kind
from dnalm.jobs.progress import progress
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Record
from dnalm.report.tables.test_rows.curves import GRID, Split, read_splits

ROC, PR = "roc", "pr"
ALL = "all"  # the mean of the curves of all classes or labels
MAX_LABELS = 12  # of more of them no curve of one alone is kept


def errors_tables(
    entries: Sequence[tuple[str, Record]], tasks: Mapping[str, dict[str, Any]]
) -> dict[str, pd.DataFrame]:
    """Return the tables `confusion` and `test_curves` of `list_entries`.

    `tasks` are the contents of the tasks' JSON by name. Confusion is that of tasks of classes, of
    rows or of bases; curves are of all tasks with probabilities, which older results lack.
    """
    counted: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    for role, result in progress(entries, "read predictions of", "results"):
        kind = find_kind(result.kind)
        if not kind.probabilistic:
            continue
        names = tasks[result.task].get("names")
        named = {"method": result.method, "model": result.model, "task": result.task, "role": role}
        splits = read_splits(result, kind)
        if kind.value == CLASS:
            counted += [named | row for row in _count(splits, tasks[result.task]["classes"], names)]
        drawn += [named | row for row in _draw(splits, kind, names)]
    return {
        "confusion": pd.DataFrame(counted, columns=list_columns("confusion")),
        "test_curves": pd.DataFrame(drawn, columns=list_columns("test_curves")),
    }


def _count(
    splits: Sequence[Split], classes: int, names: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """Yield how often each class was predicted as each, summed over splits."""
    total = sum(split.confusion(classes) for split in splits)
    for label in range(classes):
        for predicted in range(classes):
            yield {
                "label": _name(label, names),
                "predicted": _name(predicted, names),
                "splits": len(splits),
                "predictions": int(total[label, predicted]),
                "label_rows": int(total[label].sum()) // len(splits),
            }


def _name(number: int, names: Sequence[str] | None) -> str:
    return str(names[number]) if names else str(number)


def _draw(
    splits: Sequence[Split], kind: Kind, names: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """Yield ROC and precision-recall curves: means over splits at the values of GRID.

    Of two classes those of class 1; of more, of bases and of labels those of each against the rest,
    and their mean. A class or label that all test rows have, or none, has no curve.
    """
    whole = splits[0]
    first = 1 if kind.two_classes or kind.shape == BASES else 0
    curves: dict[int, NDArray] = {}
    positives = {}
    # Without probabilities there are no classes.
    for label in range(first, min(split.classes for split in splits)):
        count = whole.count_positives(label)
        if 0 < count < whole.rows:
            positives[label] = count
            curves[label] = np.stack([split.curves(label) for split in splits])
    if not curves:
        return
    rows = whole.rows
    if len(curves) > 1:
        mean = np.mean(list(curves.values()), axis=0)
        yield from _list(ALL, mean, None, rows)
    if len(curves) <= MAX_LABELS:
        for label, own in curves.items():
            yield from _list(_name(label, names), own, positives[label], rows)


def _list(
    label: str, curves: NDArray[np.float64], positives: int | None, rows: int
) -> Iterator[dict[str, Any]]:
    """Yield the points of curves [S, 2, P], mean and SD (n − 1) over S splits."""
    means = curves.mean(axis=0)
    deviations = curves.std(axis=0, ddof=1) if len(curves) > 1 else np.full(means.shape, np.nan)
    for place, curve in enumerate((ROC, PR)):
        for point, x in enumerate(GRID):
            yield {
                "label": label,
                "curve": curve,
                "x": round(float(x), 4),
                "y": round(float(means[place, point]), 4),
                "y_sd": round(float(deviations[place, point]), 4),
                "positives": positives,
                "test_rows": rows,
                "splits": len(curves),
            }
