"""The labels of a task as arrays, and what is read from them; which kind does which says `kinds`.

Shapes: N rows, C classes (multilabel: labels, regression: targets), L bases of the longest row.
"""

from collections.abc import Iterable

import numpy as np

NO_LABEL = -1  # of a base that is unknown (N) or lies behind the end of its sequence
BINS = 10  # of the first target of a regression, in which its rows are dealt to folds
MIN_PROBABILITY = 0.5  # above which a label is predicted
# What R, pandas, SQL and spreadsheets write where a value is missing; others may be names, too.
MISSING_TEXTS = {"", "#n/a", "<na>", "nan", "nat", "null"}
MISSING_UNLESS_MAPPED = {"na", "n/a", "none"}


def stack_classes(cells: Iterable) -> np.ndarray:
    """Return the classes of rows, int64 [N]."""
    return np.array(list(cells), dtype=np.int64)


def stack_flags(cells: Iterable) -> np.ndarray:
    """Return the labels of rows, int8 [N, C] of 0 and 1: hundreds of millions of them are kept."""
    return np.array([np.atleast_1d(cell) for cell in cells], dtype=np.int8)


def stack_numbers(cells: Iterable) -> np.ndarray:
    """Return the targets of rows, float64 [N, C]."""
    return np.array([np.atleast_1d(cell) for cell in cells], dtype=np.float64)


def stack_bases(cells: Iterable) -> np.ndarray:
    """Return the classes of bases, [N, L] filled up with `NO_LABEL`.

    Of the smallest integers that hold them: int8 for up to 128 classes.
    """
    cells = list(cells)
    largest = max([0, *(int(np.max(cell)) for cell in cells if len(cell))])
    return pad(cells, np.min_scalar_type(-largest - 1), NO_LABEL)


def pad(cells: Iterable, number: type | np.dtype, filling: float) -> np.ndarray:
    """Return sequences of unequal lengths as one array [N, L], filled up on the right."""
    cells = list(cells)
    array = np.full((len(cells), max(map(len, cells), default=0)), filling, dtype=number)
    for row, cell in zip(array, cells, strict=True):
        row[: len(cell)] = cell
    return array


def most_probable(outputs: np.ndarray) -> np.ndarray:
    """Return the argmax over classes, the last axis, of probabilities; of equal ones the first."""
    return outputs.argmax(axis=-1)


def above_half(outputs: np.ndarray) -> np.ndarray:
    """Return int8 of 0 and 1: which probabilities are above 0.5."""
    return (outputs > MIN_PROBABILITY).astype(np.int8)


def unchanged(outputs: np.ndarray) -> np.ndarray:
    """Return predicted values as they are."""
    return outputs


def strata_of_classes(labels: np.ndarray) -> np.ndarray:
    """Return the stratum of each row [N]: its class."""
    return labels


def strata_of_flags(labels: np.ndarray) -> np.ndarray:
    """Return the stratum of each row [N]: the rarest label that it has, C for a row without one."""
    order = np.argsort(labels.sum(axis=0), kind="stable")  # of equally rare ones the first
    rarest = order[labels[:, order].argmax(axis=1)]  # the argmax of 0 and 1 is the first 1
    return np.where(labels.any(axis=1), rarest, labels.shape[1])


def strata_of_numbers(labels: np.ndarray) -> np.ndarray:
    """Return the stratum of each row [N]: the tenth in which its first target lies."""
    edges = np.quantile(labels[:, 0], np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, labels[:, 0], side="right")


def strata_of_bases(labels: np.ndarray) -> np.ndarray:
    """Return the stratum of each row [N]: 1 if any base is of another class than 0, else 0."""
    return (labels > 0).any(axis=1).astype(np.int64)


def varying_classes(labels: np.ndarray) -> np.ndarray:
    """Return bool [1]: whether the known labels are of more classes than one."""
    known = labels[labels != NO_LABEL]
    return np.array([known.size > 0 and known.min() < known.max()])


def varying_columns(labels: np.ndarray) -> np.ndarray:
    """Return bool [C]: the labels or targets that differ between rows."""
    return np.ptp(labels, axis=0) > 0


def varying_bases(labels: np.ndarray) -> np.ndarray:
    """Return bool [1]: whether the known bases are of more classes than one."""
    return varying_classes(extremes(labels))


def extremes(labels: np.ndarray) -> np.ndarray:
    """Return [N, 2]: the least and the largest label of each row's bases, `NO_LABEL` of none."""
    largest = labels.max(axis=1, initial=NO_LABEL)
    # NO_LABEL is the least of all; as an unsigned number it is the largest.
    unsigned = labels.view(f"u{labels.dtype.itemsize}")
    least = unsigned.min(axis=1, initial=np.iinfo(unsigned.dtype).max).view(labels.dtype)
    return np.stack([least, largest], axis=1)


def count_classes(labels: np.ndarray, classes: int) -> list[int]:
    """Return the rows, or bases, of each class."""
    return [int((labels == label).sum()) for label in range(classes)]


def count_flags(labels: np.ndarray, classes: int) -> list[int]:
    """Return the rows that have each label."""
    return labels.sum(axis=0).tolist()


def describe_numbers(labels: np.ndarray, classes: int) -> list[dict[str, float]]:
    """Return {min, mean, max} of each target."""
    return [
        {"min": float(own.min()), "mean": float(own.mean()), "max": float(own.max())}
        for own in labels.T
    ]
