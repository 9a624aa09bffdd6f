"""Model selection on validation rows and test scores, alike for every probe of fixed features.

Shapes: N rows of the task table, F features, S splits, C classes, labels or targets.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.scoring.results import BasePredictions, Predicted, prediction_rows
from dnalm.benchmark.scoring.stored_outputs import Outputs, decide
from dnalm.benchmark.tasks.kinds import BASES, cut_to, find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.errors import InputError
from dnalm.jobs.partial import hash_array

LOSS_KEY = "validation_loss"  # of a row of a grid
SCORE_DECIMALS, LOSS_DECIMALS = 9, 6  # what lies behind these is rounding

log = logging.getLogger(__name__)


def metric_of(kind: str, metric: str | None) -> str:
    """Return the selection metric of a kind: `metric` where it has it, else its headline."""
    traits = find_kind(kind)
    return metric if metric in traits.metrics else traits.headline


def check_features(features: Mapping[str, np.ndarray], rows: int) -> None:
    """Raise InputError when a feature set does not fit a table of so many rows."""
    for name, array in features.items():
        if array.ndim != 2 or len(array) != rows:
            raise InputError(
                f"the features {name} have shape {array.shape} but the task table has {rows} rows: "
                "compute them again from this table."
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"the features {name} hold numbers that are not finite: check the model's weights."
            )


def choice_facts(
    features: Mapping[str, np.ndarray], splits: Splits, kind: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts that decide a probe's validation scores, hashed; `config` is the probe's."""
    return {
        "features": {name: hash_array(array) for name, array in features.items()},
        "labels": hash_array(splits.labels),
        "splits": [(hash_array(split.training), hash_array(split.validation)) for split in splits],
        "kind": kind,
        "config": config,
    }


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample SD (0 of one value) of the values that are not nan; else nan, nan.

    A score is nan in a split whose validation rows do not define it, for every candidate alike;
    `unscored` in a row of a grid counts these splits.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan, math.nan
    return fmean(known), stdev(known) if len(known) > 1 else 0.0


def rank(row: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """Return the sort key to select on validation: least for the best row of a grid.

    The mean validation score, negated; among equal ones the validation loss, where one is known: of
    a single feature every penalty has the same ranks and so the same AUC. Differences of rounding
    do not count.
    """
    found = row.get(LOSS_KEY)
    return (
        -round(row[f"validation_{metric}_mean"], SCORE_DECIMALS),
        0.0 if found is None else round(found, LOSS_DECIMALS),
    )


def best_of(grid: Sequence[dict[str, Any]], metric: str, what: str, remedy: str) -> dict[str, Any]:
    """Select on validation: return the first row of a grid that has the least `rank`.

    Splits that count in no mean are named in the log. Raises InputError when no row has a score;
    `what` names the rows, `remedy` says what to do.
    """
    scored = [row for row in grid if not math.isnan(row[f"validation_{metric}_mean"])]
    if not scored:
        raise InputError(
            f"none of the {len(grid)} {what} has a score by {metric} on validation rows: {remedy}."
        )
    best = min(scored, key=lambda row: rank(row, metric))
    if best["unscored"]:
        log.warning(
            "in %d splits the validation rows do not define %s: the choice rests on the others",
            best["unscored"],
            metric,
        )
    return best


def score_test_rows(
    table: pd.DataFrame,
    splits: Splits,
    kind: str,
    outputs: Sequence[Outputs],
    folds: Sequence[int] | None = None,
) -> tuple[pd.DataFrame, Predicted]:
    """Return scores and predictions of the test rows, given each split's outputs [S][rows, C].

    Outputs are those of `folds`, None: of all. Of bases they may be narrower than the labels, and
    are read in blocks, here and when predictions are written.
    """
    from dnalm.benchmark.scoring.metrics import score  # scikit-learn, which reports do without

    test, truth = table.iloc[splits.test], splits.labels[splits.test]
    traits = find_kind(kind)
    by_fold = dict(zip(splits.folds if folds is None else folds, outputs, strict=True))
    scores, predictions = [], []
    for fold, own in by_fold.items():
        decided = decide(own, traits)
        # Before the probabilities are narrowed to float32.
        scores.append({"fold": fold} | score(cut_to(decided, truth, traits), decided, own, kind))
        if traits.shape != BASES:
            given = own if traits.probabilistic else None
            predictions.append(prediction_rows(test, fold, decided, given))
    if traits.shape == BASES:
        return pd.DataFrame(scores), BasePredictions(test=test, outputs=by_fold, kind=traits)
    return pd.DataFrame(scores), pd.concat(predictions, ignore_index=True)
