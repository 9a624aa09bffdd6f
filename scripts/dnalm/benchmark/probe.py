"""The probe: logistic regression on fixed features, its feature set and penalty chosen on splits.

Shapes: N rows of the task table, F features, P penalties.
"""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dnalm.benchmark.metrics import score, single_score
from dnalm.benchmark.results import Result, prediction_rows
from dnalm.benchmark.splits import Split, Splits
from dnalm.errors import InputError

# Largest gradient component at which a fit ends. scikit-learn's own 1e-4 leaves strongly fitted
# models (large C) so far from the optimum that test predictions depend on the starting point.
TOLERANCE = 1e-8

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """`penalties` are scikit-learn's C (inverse strengths); `metric` picks on validation rows."""

    penalties: Sequence[float]
    max_iterations: int
    solver: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """A model fitted on one split's training rows, and its view of other rows."""

    classifier: LogisticRegression
    converged: bool

    def probabilities(self, features: np.ndarray, classes: int) -> np.ndarray:
        # A training part may lack a rare class; its column then stays 0.
        probabilities = np.zeros((len(features), classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(features)
        return probabilities


def probe(
    features: Mapping[str, np.ndarray],
    table: pd.DataFrame,
    kind: str,
    config: ProbeConfig,
    threads: int,
) -> Result:
    """Choose one (feature set, penalty) on the validation rows, then score the test rows once.

    `features` maps a name, such as a layer's, to an array [N, F] in the order of `table` (columns
    id, label, split, folds). In every split the features are standardised by the mean and SD of
    that split's training rows, and a logistic regression with an L2 penalty is fitted on these
    rows. The pair with the best mean validation score over all splits is kept (ties: the stronger
    penalty, then the earlier feature set); only its models, one per split and fitted again from
    zero, see the test rows. `edge` says that the choice is the weakest or strongest penalty of a
    grid on which the penalty matters.

    Splits are spread over `threads` processes. Raises InputError when a feature set does not fit
    the table or holds numbers that are not finite.
    """
    started = time.monotonic()
    splits = Splits(table)
    penalties = sorted(float(penalty) for penalty in config.penalties)
    for name, array in features.items():
        _check(name, array, len(table))

    cells = [(name, split) for name in features for split in splits]
    walked = _parallel(
        threads,
        (
            joblib.delayed(_walk)(features[name], splits.labels, split, penalties, kind, config)
            for name, split in cells
        ),
    )
    grid = _grid(list(features), penalties, walked, config.metric, len(splits))
    best = max(grid, key=lambda row: (row[f"validation_{config.metric}_mean"], -row["penalty"]))

    fitted = _parallel(
        threads,
        (
            joblib.delayed(_test)(
                features[best["feature"]], splits, split, best["penalty"], kind, config
            )
            for split in splits
        ),
    )
    not_converged = sum(not done for walk in walked for _, done in walk)
    if not_converged:
        log.warning(
            "%d of %d fits did not converge within probe.max_iterations = %d",
            not_converged,
            len(cells) * len(penalties),
            config.max_iterations,
        )
    return Result(
        selected={"feature": best["feature"], "penalty": best["penalty"]},
        edge=_on_edge(best, grid, config.metric),
        grid=grid,
        scores=pd.DataFrame(
            [
                {"fold": split.fold} | scores
                for split, (scores, _) in zip(splits, fitted, strict=True)
            ]
        ),
        predictions=pd.concat(
            [
                prediction_rows(table.iloc[splits.test], split.fold, predictions)
                for split, (_, predictions) in zip(splits, fitted, strict=True)
            ],
            ignore_index=True,
        ),
        seconds=time.monotonic() - started,
        not_converged=not_converged,
    )


def _check(name: str, array: np.ndarray, rows: int) -> None:
    if array.ndim != 2 or len(array) != rows:
        raise InputError(
            f"the features {name} have shape {array.shape} but the task table has {rows} rows: "
            "compute them again from this table."
        )
    if not np.isfinite(array).all():
        raise InputError(
            f"the features {name} hold numbers that are not finite: check the model's weights."
        )


def _parallel(threads: int, jobs: Iterator[Any]) -> list[Any]:
    # loky starts fresh interpreters that never import the calling script again, and hands large
    # arrays over as memory maps, so all processes share one copy of the features.
    return joblib.Parallel(n_jobs=threads, backend="loky")(jobs)


def _walk(
    features: np.ndarray,
    labels: np.ndarray,
    split: Split,
    penalties: list[float],
    kind: str,
    config: ProbeConfig,
) -> list[tuple[float, bool]]:
    """Return (validation score, converged) per penalty, strongest penalty first."""
    with threadpool_limits(1):
        training, validation = _standardise(features, split.training, split.validation)
        truth = labels[split.validation]
        classes = int(labels.max()) + 1
        rows = []
        for fit in _path(training, labels[split.training], penalties, config):
            probabilities = fit.probabilities(validation, classes)
            value = single_score(
                config.metric, truth, probabilities.argmax(axis=1), probabilities, kind
            )
            rows.append((value, fit.converged))
        return rows


def _test(
    features: np.ndarray,
    splits: Splits,
    split: Split,
    penalty: float,
    kind: str,
    config: ProbeConfig,
) -> tuple[dict[str, float], np.ndarray]:
    """Return the test scores and predictions of one split's model, fitted from zero."""
    with threadpool_limits(1):
        training, test = _standardise(features, split.training, splits.test)
        (fit,) = _path(training, splits.labels[split.training], [penalty], config)
        probabilities = fit.probabilities(test, splits.classes)
        predictions = probabilities.argmax(axis=1)
        truth = splits.labels[splits.test]
        return score(truth, predictions, probabilities, kind), predictions


def _standardise(
    features: np.ndarray, training: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # In float64: embeddings come as float32, whose rounding would decide the last iterations.
    fitted = features[training].astype(np.float64)
    scaler = StandardScaler().fit(fitted)
    return scaler.transform(fitted), scaler.transform(features[others].astype(np.float64))


def _path(
    features: np.ndarray, labels: np.ndarray, penalties: list[float], config: ProbeConfig
) -> Iterator[_Fit]:
    """Yield a fit per penalty; each starts at the one before, which saves two iterations of three.

    The problem is strictly convex, so the start changes the way and not the end.
    """
    classifier = LogisticRegression(
        solver=config.solver, max_iter=config.max_iterations, tol=TOLERANCE, warm_start=True
    )
    for penalty in penalties:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            classifier.set_params(C=penalty).fit(features, labels)
        limited = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        yield _Fit(classifier=classifier, converged=not limited)


def _grid(
    names: list[str],
    penalties: list[float],
    walked: list[list[tuple[float, bool]]],
    metric: str,
    splits: int,
) -> list[dict[str, Any]]:
    """Return one row per (feature set, penalty): mean and SD (n − 1) over the splits."""
    grid = []
    for i, name in enumerate(names):
        walks = walked[i * splits : (i + 1) * splits]
        for j, penalty in enumerate(penalties):
            values = [walk[j][0] for walk in walks]
            grid.append(
                {
                    "feature": name,
                    "penalty": penalty,
                    f"validation_{metric}_mean": fmean(values),
                    f"validation_{metric}_sd": stdev(values) if splits > 1 else 0.0,
                    "not_converged": sum(not walk[j][1] for walk in walks),
                }
            )
    return grid


def _on_edge(best: dict[str, Any], grid: list[dict[str, Any]], metric: str) -> bool:
    key = f"validation_{metric}_mean"
    rows = [row for row in grid if row["feature"] == best["feature"]]
    flat = len({row[key] for row in rows}) == 1
    return not flat and best["penalty"] in (rows[0]["penalty"], rows[-1]["penalty"])
