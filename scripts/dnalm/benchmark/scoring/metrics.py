"""The scores of every kind of task, by scikit-learn and scipy.

Shapes: R rows, C classes (multilabel: labels, regression: targets), L bases.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from dnalm.benchmark.scoring.ranking import Ranking, confusion, matthews_of, rank, read_blocks
from dnalm.benchmark.scoring.stored_outputs import Outputs
from dnalm.benchmark.tasks.kinds import (
    BASES,
    BINARY_CROSS_ENTROPY,
    COLUMNS,
    OF_CLASS_1,
    SQUARED_ERROR,
    Kind,
    find_kind,
)
from dnalm.suggestions import check_choice

MIN_PROBABILITY = 1e-15  # that a loss counts
FROM_CONFUSION = {"mcc", "accuracy"}  # of bases


def headline(kind: str) -> str:
    """Return the metric of a kind by which models are chosen and compared."""
    return find_kind(kind).headline


def score(
    labels: np.ndarray, predictions: Outputs, probabilities: Outputs | None, kind: str
) -> dict[str, float]:
    """Return every metric of a kind for one set of predictions.

    binary, multiclass: `labels` and `predictions` [R] are class numbers from 0, `probabilities`
    [R, C] has one column per class. F1 is that of class 1 (binary) or the unweighted mean over all
    C classes (multiclass); AUC is that of class 1 or the unweighted mean of one-versus-rest, `nan`
    where a class has no row, because it is undefined then.

    multilabel: `labels` and `predictions` [R, C] are 0 or 1, `probabilities` [R, C] those of each
    label. Scores are unweighted means over the labels of which the rows hold both 0 and 1; `nan`
    where no label is left.

    regression: `labels` and `predictions` [R, C] are numbers, `probabilities` is None. Scores are
    unweighted means over the targets; but for the root mean squared error, targets of which all
    rows have one value are left out. The correlation with a constant prediction is 0.

    per_base: `labels` and `predictions` [R, L], `probabilities` [R, L, C]; bases labelled
    `NO_LABEL` are left out. Top-k accuracy and average precision are unweighted means over the
    classes above 0 that have a base: of the k bases with the highest probability of a class, k the
    number of its true bases, the share that are true. Predictions and probabilities may lie in a
    file, of which blocks are read.
    """
    traits = find_kind(kind)
    if traits.shape == BASES:
        return _of_bases(traits.metrics, labels, predictions, probabilities)
    return {
        metric: single_score(metric, labels, predictions, probabilities, kind)
        for metric in traits.metrics
    }


def single_score(
    metric: str,
    labels: np.ndarray,
    predictions: Outputs,
    probabilities: Outputs | None,
    kind: str,
) -> float:
    """Return one metric of a kind; arguments as for `score`.

    Raises InputError for a kind of task that is not known and a metric that it does not have.
    """
    traits = find_kind(kind)
    check_choice(f"the metric of a {kind} task", metric, traits.metrics)
    if traits.shape == COLUMNS:
        return _over_columns(metric, labels, predictions, probabilities, traits)
    if traits.shape == BASES:
        return _of_bases([metric], labels, predictions, probabilities)[metric]
    return float(_of_classes(metric, labels, predictions, probabilities, traits))


def loss(labels: np.ndarray, outputs: np.ndarray, kind: str) -> float:
    """Return how far probabilities, or the values of a regression, are from the labels.

    Shapes as for `score`. The mean of -log p of the true class, over rows, over labels of several
    too; of a regression the mean squared error. Unlike ranks and counts it has no ties.
    """
    what = find_kind(kind).loss
    if what == SQUARED_ERROR:
        return float(np.mean((outputs - labels) ** 2))
    if what == BINARY_CROSS_ENTROPY:
        true = np.where(labels == 1, outputs, 1 - outputs)
    else:
        true = np.take_along_axis(outputs, labels[:, None], axis=1)
    return float(-np.log(np.maximum(true, MIN_PROBABILITY)).mean())


def _of_bases(
    metrics: Sequence[str], labels: np.ndarray, predictions: Outputs, probabilities: Outputs
) -> dict[str, float]:
    """Return metrics of bases; what two of them are made of is counted once."""
    classes, found = probabilities.shape[-1], {}
    if not FROM_CONFUSION.isdisjoint(metrics):
        counts = confusion(labels, predictions, classes)
        found["mcc"] = matthews_of(counts)
        found["accuracy"] = float(np.trace(counts) / counts.sum())
    if not FROM_CONFUSION.issuperset(metrics):
        ranked = [one for one in rank_classes(labels, probabilities, range(1, classes)) if one]
        found["top_k_accuracy"] = _mean([one.top_k[1] for one in ranked])
        found["average_precision_mean"] = _mean([one.average_precision for one in ranked])
    return {metric: found[metric] for metric in metrics}


def rank_classes(
    labels: np.ndarray, probabilities: Outputs, classes: Iterable[int]
) -> list[Ranking | None]:
    """Return top-k accuracies and average precision of classes of bases, None of absent ones."""
    return [rank(partial(read_blocks, labels, probabilities, c)) for c in classes]


def _of_classes(
    metric: str, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray, kind: Kind
) -> float:
    classes = np.arange(probabilities.shape[1])
    if metric == "mcc":
        return matthews_corrcoef(labels, predictions)
    if metric == "accuracy":
        return accuracy_score(labels, predictions)
    if metric == "f1":
        if kind.average == OF_CLASS_1:
            return f1_score(labels, predictions, pos_label=1, zero_division=0)
        return f1_score(labels, predictions, labels=classes, average=kind.average, zero_division=0)
    return _auc(labels, probabilities, kind, classes)


def _auc(labels: np.ndarray, probabilities: np.ndarray, kind: Kind, classes: np.ndarray) -> float:
    if len(np.unique(labels)) < len(classes):
        return float("nan")
    if kind.average == OF_CLASS_1:
        return roc_auc_score(labels, probabilities[:, 1])
    return roc_auc_score(
        labels, probabilities, multi_class="ovr", average=kind.average, labels=classes
    )


def _over_columns(
    metric: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray | None,
    kind: Kind,
) -> float:
    """Return the mean of a metric over the labels or targets that differ between rows."""
    if metric == "rmse_mean":  # is defined for constant targets, too
        return float(root_mean_squared_error(labels, predictions))
    found = OF_ONE_COLUMN[metric]
    outputs = probabilities if metric in FROM_PROBABILITIES else predictions
    columns = np.flatnonzero(kind.varying(labels))
    return _mean([found(labels[:, c], outputs[:, c]) for c in columns])


def _pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    return _correlation(pearsonr, labels, predictions)


def _spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    return _correlation(spearmanr, labels, predictions)


def _correlation(found: Callable, labels: np.ndarray, predictions: np.ndarray) -> float:
    return float(found(labels, predictions)[0]) if np.ptp(predictions) > 0 else 0.0


def _f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    return f1_score(labels, predictions, zero_division=0)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


# Of one label or target: (labels [R], predictions or probabilities [R]) -> score.
OF_ONE_COLUMN: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auc_mean": roc_auc_score,
    "average_precision_mean": average_precision_score,
    "f1_mean": _f1,
    "mcc_mean": matthews_corrcoef,
    "pearson_mean": _pearson,
    "spearman_mean": _spearman,
    "r2_mean": r2_score,
}
FROM_PROBABILITIES = ("auc_mean", "average_precision_mean")
