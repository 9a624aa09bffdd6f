"""The scores of every kind of task, by scikit-learn and scipy.

Shapes: R rows, C classes (multilabel: labels, regression: targets), L bases.
"""

from collections.abc import Callable

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

from dnalm.benchmark.tasks.labels import NO_LABEL, varying
from dnalm.errors import InputError

LEAST = 1e-15  # probability that a loss counts
METRICS = ("mcc", "accuracy", "f1", "auc")
METRICS_BY_KIND: dict[str, tuple[str, ...]] = {
    "binary": METRICS,
    "multiclass": METRICS,
    "multilabel": ("auc_mean", "average_precision_mean", "f1_mean", "mcc_mean"),
    "regression": ("pearson_mean", "spearman_mean", "r2_mean", "rmse_mean"),
    "per_base": ("top_k_accuracy", "average_precision_mean", "mcc", "accuracy"),
}


def headline(kind: str) -> str:
    """Return the metric of a kind by which models are chosen and compared: its first."""
    return METRICS_BY_KIND[kind][0]


def score(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray | None, kind: str
) -> dict[str, float]:
    """Return every metric of a kind (`METRICS_BY_KIND`) for one set of predictions.

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
    number of its true bases, the share that are true.
    """
    return {
        metric: single_score(metric, labels, predictions, probabilities, kind)
        for metric in _metrics(kind)
    }


def single_score(
    metric: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray | None,
    kind: str,
) -> float:
    """Return one metric of a kind; arguments as for `score`.

    Raises InputError for a kind of task that is not known and a metric that it does not have.
    """
    if metric not in _metrics(kind):
        raise InputError(f"metric is {metric!r}: use one of {METRICS_BY_KIND[kind]}.")
    if kind == "multilabel":
        return _by_label(metric, labels, predictions, probabilities)
    if kind == "regression":
        return _by_target(metric, labels, predictions)
    if kind == "per_base":
        known = labels != NO_LABEL
        labels, predictions, probabilities = labels[known], predictions[known], probabilities[known]
    return float(_of_classes(metric, labels, predictions, probabilities, kind))


def loss(labels: np.ndarray, outputs: np.ndarray, kind: str) -> float:
    """Return how far probabilities, or the values of a regression, are from the labels.

    Shapes as for `score`. The mean of -log p of the true class, over rows, over labels of several
    too; of a regression the mean squared error. Unlike ranks and counts it has no ties.
    """
    if kind == "regression":
        return float(np.mean((outputs - labels) ** 2))
    if kind == "multilabel":
        true = np.where(labels == 1, outputs, 1 - outputs)
    else:
        true = np.take_along_axis(outputs, labels[:, None], axis=1)
    return float(-np.log(np.maximum(true, LEAST)).mean())


def _metrics(kind: str) -> tuple[str, ...]:
    if kind not in METRICS_BY_KIND:
        raise InputError(
            f"kind is {kind!r}, which has no scores here: use one of {tuple(METRICS_BY_KIND)}."
        )
    return METRICS_BY_KIND[kind]


def _of_classes(
    metric: str, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray, kind: str
) -> float:
    classes = np.arange(probabilities.shape[1])
    if metric == "mcc":
        return matthews_corrcoef(labels, predictions)
    if metric == "accuracy":
        return accuracy_score(labels, predictions)
    if metric == "f1":
        if kind == "binary":
            return f1_score(labels, predictions, pos_label=1, zero_division=0)
        return f1_score(labels, predictions, labels=classes, average="macro", zero_division=0)
    if metric == "auc":
        return _auc(labels, probabilities, kind, classes)
    found = top_k if metric == "top_k_accuracy" else average_precision_score
    return _mean([found(labels == c, probabilities[:, c]) for c in classes[1:] if c in labels])


def _auc(labels: np.ndarray, probabilities: np.ndarray, kind: str, classes: np.ndarray) -> float:
    if len(np.unique(labels)) < len(classes):
        return float("nan")
    if kind == "binary":
        return roc_auc_score(labels, probabilities[:, 1])
    return roc_auc_score(labels, probabilities, multi_class="ovr", average="macro", labels=classes)


def top_k(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the share of the k most probable that are true, k the number of all that are true.

    Of equally probable ones the earlier counts first.
    """
    best = np.argsort(-probabilities, kind="stable")[: int(truth.sum())]
    return float(truth[best].mean())


def _by_label(
    metric: str, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> float:
    known = np.flatnonzero(varying(labels, "multilabel"))
    if metric == "auc_mean":
        return _mean([roc_auc_score(labels[:, c], probabilities[:, c]) for c in known])
    if metric == "average_precision_mean":
        return _mean([average_precision_score(labels[:, c], probabilities[:, c]) for c in known])
    if metric == "f1_mean":
        return _mean([f1_score(labels[:, c], predictions[:, c], zero_division=0) for c in known])
    return _mean([matthews_corrcoef(labels[:, c], predictions[:, c]) for c in known])


def _by_target(metric: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    if metric == "rmse_mean":
        return float(root_mean_squared_error(labels, predictions))
    columns = np.flatnonzero(varying(labels, "regression"))
    found = {"pearson_mean": _pearson, "spearman_mean": _spearman, "r2_mean": r2_score}[metric]
    return _mean([found(labels[:, c], predictions[:, c]) for c in columns])


def _pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    return _correlation(pearsonr, labels, predictions)


def _spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    return _correlation(spearmanr, labels, predictions)


def _correlation(found: Callable, labels: np.ndarray, predictions: np.ndarray) -> float:
    return float(found(labels, predictions)[0]) if np.ptp(predictions) > 0 else 0.0


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
