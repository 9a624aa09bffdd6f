"""Constant predictions: in how many splits a model gives one class, and whether it still learned.

Letters in shapes: F folds, R test rows, C labels or targets.
"""

from typing import Any

import numpy as np

from dnalm.benchmark.scoring.bootstrap_parts import Opened
from dnalm.benchmark.scoring.stored_predictions import StoredPredictions
from dnalm.benchmark.tasks.kinds import COLUMNS, find_kind
from dnalm.files import read_tsv
from dnalm.report.tables.records import Record

MAX_P_VALUE = 0.05  # of the slope of a loss that is said to fall
MIN_EVALUATIONS = 3  # of which a slope has a p-value


def describe_constant(result: Record, constant: np.ndarray) -> dict[str, Any]:
    """Return the columns of the summary on constant predictions, bool [F] by `constant_folds`.

    The loss, of the splits that predict one class or else of all, is missing without a history.
    """
    facts = {"constant_splits": int(constant.sum())}
    if result.history is None:
        return facts
    history = read_tsv(result.history, numbers=("fold", "step", "train_loss"))
    folds = np.array(sorted(history["fold"].unique()))
    if constant.any() and len(folds) == len(constant):
        history = history[history["fold"].isin(folds[constant])]
    losses = history.groupby("step")["train_loss"].mean().sort_index()
    return facts | {
        "first_train_loss": losses.iloc[0],
        "last_train_loss": losses.iloc[-1],
        "loss_falls": still_falls(losses.to_numpy()),
    }


def constant_folds(predictions: Opened) -> np.ndarray:
    """Return bool [F]: the splits in which all test rows are given the same, and labels differ.

    Of bases those with a label count; of several labels or targets each has to be constant.
    """
    if isinstance(predictions, StoredPredictions):
        differ = (predictions.sites.sum(axis=1) > 0).sum() > 1
        folds = predictions.folds
        return np.array([bool(differ) and predictions.is_constant(fold) for fold in folds])
    kind = find_kind(predictions.kind)
    if not kind.varying(predictions.labels).any():
        return np.zeros(len(predictions.classes), dtype=bool)
    ranges = np.ptp(predictions.classes, axis=1)  # [F], or [F, C]
    return (ranges == 0).all(axis=1) if kind.shape == COLUMNS else ranges == 0


def still_falls(losses: np.ndarray) -> bool:
    """Return whether a training loss falls in the last half of its evaluations.

    By the slope of a regression on the number of the evaluation, whose p-value is below
    `MAX_P_VALUE`; of fewer than `MIN_EVALUATIONS` whether the last is below the first.
    """
    last = losses[len(losses) // 2 :] if len(losses) >= 2 * MIN_EVALUATIONS else losses
    if len(last) < MIN_EVALUATIONS:
        return bool(last[-1] < last[0])
    from scipy.stats import linregress  # which loads for half a second

    slope = linregress(np.arange(len(last)), last)
    return bool(slope.slope < 0 and slope.pvalue < MAX_P_VALUE)
