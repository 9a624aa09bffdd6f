"""The four scores of a classification, all by scikit-learn.

Shapes: R rows, C classes.
"""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from dnalm.errors import InputError

METRICS = ("mcc", "accuracy", "f1", "auc")
KINDS = ("binary", "multiclass")


def score(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray, kind: str
) -> dict[str, float]:
    """Return every metric of `METRICS` for one set of predictions.

    `labels` and `predictions` [R] are class numbers from 0, `probabilities` [R, C] has one column
    per class. F1 is that of class 1 (binary) or the unweighted mean over all C classes
    (multiclass); AUC is that of class 1 or the unweighted mean of one-versus-rest, `nan` where a
    class has no row, because it is undefined then.
    """
    return {
        metric: single_score(metric, labels, predictions, probabilities, kind) for metric in METRICS
    }


def single_score(
    metric: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    kind: str,
) -> float:
    """Return one metric of `METRICS`; arguments as for `score`.

    Raises InputError for a metric or a kind of task that is not known.
    """
    if kind not in KINDS:
        raise InputError(f"kind is {kind!r}, which has no scores here: use one of {KINDS}.")
    classes = np.arange(probabilities.shape[1])
    if metric == "mcc":
        value = matthews_corrcoef(labels, predictions)
    elif metric == "accuracy":
        value = accuracy_score(labels, predictions)
    elif metric == "f1":
        value = (
            f1_score(labels, predictions, pos_label=1, zero_division=0)
            if kind == "binary"
            else f1_score(labels, predictions, labels=classes, average="macro", zero_division=0)
        )
    elif metric == "auc":
        value = _auc(labels, probabilities, kind, classes)
    else:
        raise InputError(f"metric is {metric!r}: use one of {METRICS}.")
    return float(value)


def _auc(labels: np.ndarray, probabilities: np.ndarray, kind: str, classes: np.ndarray) -> float:
    if len(np.unique(labels)) < len(classes):
        return float("nan")
    if kind == "binary":
        return roc_auc_score(labels, probabilities[:, 1])
    return roc_auc_score(labels, probabilities, multi_class="ovr", average="macro", labels=classes)
