"""Confusion, ROC and precision-recall curves of one split's predictions for the test rows.

Letters in shapes: R rows, C classes or labels, P points of a curve.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.scoring.ranking import Thresholds, confusion, count_thresholds
from dnalm.benchmark.scoring.results import read_arrays
from dnalm.benchmark.scoring.stored_predictions import StoredPredictions
from dnalm.benchmark.tasks.kinds import BASES, COLUMNS, Kind
from dnalm.report.tables.records import Record

GRID = np.linspace(0.0, 1.0, 51)  # false positive rates and recalls at which curves are read


class Split(Protocol):
    """What one split gave for the test rows: `rows` of them, or bases, and `classes` or labels.

    Without probabilities, as in older results, there are no classes.
    """

    rows: int
    classes: int

    def count_positives(self, label: int) -> int:
        """Return the rows or bases that have a class or label."""

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """Return how often each class is predicted as each, int64 [C, C]."""

    def curves(self, label: int) -> NDArray[np.float64]:
        """Return the curves of a class or label against the rest, as `curves_of`."""


def read_splits(result: Record, kind: Kind) -> list[Split]:
    """Return the splits of a result in their order; those of bases read their file when asked."""
    if kind.shape == BASES:
        stored = StoredPredictions.open(result.predictions, kind.name)
        return [BaseSplit(stored, fold) for fold in stored.folds]
    table, *arrays = read_arrays(result.predictions, kind.name)
    return [
        RowSplit(kind, *(None if whole is None else whole[own] for whole in arrays))
        for own in table.groupby("fold", sort=True).indices.values()
    ]


@dataclass(frozen=True)
class RowSplit:
    """Of tasks whose rows are in memory; arrays as `prediction_arrays` gives them."""

    kind: Kind
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        return 0 if self.probabilities is None else self.probabilities.shape[-1]

    def count_positives(self, label: int) -> int:
        return int(self._truth(label).sum())

    def confusion(self, classes: int) -> NDArray[np.int64]:
        return confusion(self.labels, self.predicted, classes)

    def curves(self, label: int) -> NDArray[np.float64]:
        return curves_of(self._truth(label), self.probabilities[:, label])

    def _truth(self, label: int) -> NDArray[np.bool_]:
        return self.labels[:, label] == 1 if self.kind.shape == COLUMNS else self.labels == label


@dataclass(frozen=True)
class BaseSplit:
    """Of a task of bases, whose labelled ones alone count."""

    stored: StoredPredictions
    fold: int

    @property
    def rows(self) -> int:
        return int(self.stored.sites.sum())

    @property
    def classes(self) -> int:
        return self.stored.classes

    def count_positives(self, label: int) -> int:
        return int(self.stored.sites[label].sum())

    def confusion(self, classes: int) -> NDArray[np.int64]:
        return self.stored.confusion(self.fold, classes)

    def curves(self, label: int) -> NDArray[np.float64]:
        return curves_of_counts(count_thresholds(self.stored.read_class(self.fold, label)))


def curves_of(truth: NDArray[np.bool_], scores: np.ndarray) -> NDArray[np.float64]:
    """Return [2, P]: true positive rates at false positive rates, precisions at recalls, of GRID.

    By scikit-learn's curves: the first between their points, the second at the highest threshold
    whose recall is at least that; both classes are among the rows.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve  # half a second

    false, true, _ = roc_curve(truth, scores)
    precision, recall, _ = precision_recall_curve(truth, scores)
    # From the highest threshold on; the last point, of recall 0, no threshold gives.
    return _at_grid(false, true, precision[-2::-1], recall[-2::-1])


def curves_of_counts(counts: Thresholds) -> NDArray[np.float64]:
    """Return what `curves_of` does, of the counts at the probabilities of true bases.

    Thresholds between them lie on straight pieces of the ROC curve, and recall nothing more.
    """
    true, false = counts.true[::-1], counts.false[::-1]
    before = np.concatenate([[0], true[:-1]])
    x = np.stack([counts.false_above[::-1], false], axis=1).ravel() / counts.false_all
    y = np.stack([before, true], axis=1).ravel() / true[-1]
    precision, recall = true / (true + false), true / true[-1]
    if counts.false_above[-1]:  # the highest threshold has no true base
        precision, recall = (np.concatenate([[0.0], own]) for own in (precision, recall))
    return _at_grid(
        np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]]), precision, recall
    )


def _at_grid(
    false: np.ndarray, true: np.ndarray, precision: np.ndarray, recall: np.ndarray
) -> NDArray[np.float64]:
    return np.stack(
        [np.interp(GRID, false, true), precision[np.searchsorted(recall, GRID - 1e-12)]]
    )
