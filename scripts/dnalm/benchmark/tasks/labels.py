"""The kinds of tasks and their labels as arrays.

Shapes: N rows, C classes (multilabel: labels, regression: targets), L bases of the longest row.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

KINDS = ("binary", "multiclass", "multilabel", "regression", "per_base")
CLASSES = ("binary", "multiclass")  # one class for each row
NO_LABEL = -1  # of a base that is unknown (N) or lies behind the end of its sequence
BINS = 10  # of the first target of a regression, in which its rows are dealt to folds


def label_array(table: pd.DataFrame, kind: str) -> np.ndarray:
    """Return the labels of a task table.

    binary, multiclass: int64 [N]; multilabel: int64 [N, C] of 0 and 1; regression: float64 [N, C];
    per_base: [N, L] of the smallest integers that hold them, int8 for up to 128 classes, filled up
    with `NO_LABEL`.
    """
    return stack(table["label"], kind)


def stack(cells: Iterable, kind: str) -> np.ndarray:
    """Return labels or predictions, one cell for each row, as the array of `label_array`."""
    cells = list(cells)
    if kind in CLASSES:
        return np.array(cells, dtype=np.int64)
    if kind == "per_base":
        largest = max([0, *(int(np.max(cell)) for cell in cells if len(cell))])
        return pad(cells, np.min_scalar_type(-largest - 1), NO_LABEL)
    number = np.float64 if kind == "regression" else np.int64
    return np.array([np.atleast_1d(cell) for cell in cells], dtype=number)


def pad(cells: Iterable, number: type | np.dtype, filling: float) -> np.ndarray:
    """Return sequences of unequal lengths as one array [N, L], filled up on the right."""
    cells = list(cells)
    array = np.full((len(cells), max(map(len, cells), default=0)), filling, dtype=number)
    for row, cell in zip(array, cells, strict=True):
        row[: len(cell)] = cell
    return array


def decide(outputs: np.ndarray, kind: str) -> np.ndarray:
    """Return what a model predicts, of the shape and type of its labels.

    `outputs` are probabilities, [N, C] or per_base [N, L, C]; of a regression the values [N, C].
    """
    if kind == "regression":
        return outputs
    if kind == "multilabel":
        return (outputs > 0.5).astype(np.int64)
    return outputs.argmax(axis=-1)


def strata(labels: np.ndarray, kind: str) -> np.ndarray:
    """Return int64 [N]: the groups of rows that every fold is to hold in equal shares.

    Classes; of a multilabel task the rarest label that a row has, or C; of a regression tenths of
    the first target; of a per_base task whether any base is of another class than 0.
    """
    if kind in CLASSES:
        return labels
    if kind == "per_base":
        return (labels > 0).any(axis=1).astype(np.int64)
    if kind == "multilabel":
        counts = labels.sum(axis=0)
        rarity = np.where(labels == 1, counts, len(labels) + 1)
        return np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])
    edges = np.quantile(labels[:, 0], np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, labels[:, 0], side="right")


def varying(labels: np.ndarray, kind: str) -> np.ndarray:
    """Return bool [C]: the labels or targets that differ between rows; else one bool in all."""
    if kind in ("multilabel", "regression"):
        return np.ptp(labels, axis=0) > 0
    if kind == "per_base":
        labels = extremes(labels)
    known = labels[labels != NO_LABEL]
    return np.array([known.size > 0 and known.min() < known.max()])


def extremes(labels: np.ndarray) -> np.ndarray:
    """Return [N, 2]: the least and the largest label of each row's bases, `NO_LABEL` of none."""
    largest = labels.max(axis=1, initial=NO_LABEL)
    # NO_LABEL is the least of all; as an unsigned number it is the largest.
    unsigned = labels.view(f"u{labels.dtype.itemsize}")
    least = unsigned.min(axis=1, initial=np.iinfo(unsigned.dtype).max).view(labels.dtype)
    return np.stack([least, largest], axis=1)
