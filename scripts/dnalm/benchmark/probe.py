"""The probe: logistic regression on fixed features, its feature set and penalty chosen on splits.

Shapes: N rows of the task table, F features, P penalties.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from dnalm.benchmark.metrics import score, single_score
from dnalm.benchmark.partial import Partial, hash_array
from dnalm.benchmark.regression import TOLERANCE, Fit, fit_path, standardise
from dnalm.benchmark.results import Result, prediction_rows
from dnalm.benchmark.splits import Split, Splits
from dnalm.errors import InputError

# (validation score, converged) per penalty, the strongest penalty first.
Walk = Sequence[tuple[float, bool]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """`penalties` are scikit-learn's C (inverse strengths); `metric` picks on validation rows."""

    penalties: Sequence[float]
    max_iterations: int
    solver: str
    metric: str


def probe(
    features: Mapping[str, np.ndarray],
    table: pd.DataFrame,
    kind: str,
    config: ProbeConfig,
    threads: int,
    partial: str | Path | None = None,
) -> Result:
    """Choose one (feature set, penalty) on the validation rows, then score the test rows once.

    `features` maps a name, such as a layer's, to an array [N, F] in the order of `table` (columns
    id, label, split, folds). In every split the features are standardised by the mean and SD of
    that split's training rows, and a logistic regression with an L2 penalty is fitted on these
    rows. The pair with the best mean validation score over all splits is kept (ties: the stronger
    penalty, then the earlier feature set); only its models, one per split and fitted again from
    zero, see the test rows. `edge` says that the choice is the weakest or strongest penalty of a
    grid on which the penalty matters.

    Splits are spread over `threads` processes. The validation scores of a finished feature set are
    kept below the folder `partial` and read from there by the next call on the same. Raises
    InputError when a feature set does not fit the table or holds numbers that are not finite.
    """
    started = time.monotonic()
    splits = Splits(table)
    penalties = sorted(float(penalty) for penalty in config.penalties)
    for name, array in features.items():
        _check(name, array, len(table))

    kept = Partial(partial, _facts(features, splits, kind, config))
    walks = _walk_all(features, splits, penalties, kind, config, threads, kept)
    grid = _grid(walks, penalties, config.metric)
    best = max(grid, key=lambda row: (row[f"validation_{config.metric}_mean"], -row["penalty"]))

    chosen = features[best["feature"]]
    fitted = list(
        _parallel(
            threads,
            (
                joblib.delayed(_test)(chosen, splits, split, best["penalty"], kind, config)
                for split in splits
            ),
        )
    )
    not_converged = sum(row["not_converged"] for row in grid)
    if not_converged:
        log.warning(
            "%d of %d fits did not converge within probe.max_iterations = %d",
            not_converged,
            len(grid) * len(splits),
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


def _facts(
    features: Mapping[str, np.ndarray], splits: Splits, kind: str, config: ProbeConfig
) -> dict[str, Any]:
    """Return all that decides the validation scores."""
    return {
        "features": {name: hash_array(array) for name, array in features.items()},
        "labels": hash_array(splits.labels),
        "splits": [(hash_array(split.training), hash_array(split.validation)) for split in splits],
        "kind": kind,
        "config": asdict(config),
        "tolerance": TOLERANCE,
    }


def _parallel(threads: int, jobs: Iterator[Any]) -> Iterator[Any]:
    # loky starts fresh interpreters that never import the calling script again, and hands large
    # arrays over as memory maps, so all processes share one copy of the features.
    return joblib.Parallel(n_jobs=threads, backend="loky", return_as="generator")(jobs)


def _walk_all(
    features: Mapping[str, np.ndarray],
    splits: Splits,
    penalties: list[float],
    kind: str,
    config: ProbeConfig,
    threads: int,
    kept: Partial,
) -> dict[str, list[Walk]]:
    """Return what `_walk` returns for every split of every feature set; keep each finished set."""
    walks = kept.read()
    if walks:
        log.info("%d of %d feature sets were finished before", len(walks), len(features))
    cells = [(name, split) for name in features if name not in walks for split in splits]
    walked = _parallel(
        threads,
        (
            joblib.delayed(_walk)(features[name], splits.labels, split, penalties, kind, config)
            for name, split in cells
        ),
    )
    for (name, _), walk in zip(cells, walked, strict=True):
        walks.setdefault(name, []).append(walk)
        if len(walks[name]) == len(splits):
            kept.write(name, walks[name])
    return {name: walks[name] for name in features}


def _walk(
    features: np.ndarray,
    labels: np.ndarray,
    split: Split,
    penalties: list[float],
    kind: str,
    config: ProbeConfig,
) -> Walk:
    """Return the scores of one split's fits on its validation rows."""
    with threadpool_limits(1):
        training, validation = standardise(features, split.training, split.validation)
        truth = labels[split.validation]
        classes = int(labels.max()) + 1
        rows = []
        for fit in _fits(training, labels[split.training], penalties, config):
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
        training, test = standardise(features, split.training, splits.test)
        (fit,) = _fits(training, splits.labels[split.training], [penalty], config)
        probabilities = fit.probabilities(test, splits.classes)
        predictions = probabilities.argmax(axis=1)
        truth = splits.labels[splits.test]
        return score(truth, predictions, probabilities, kind), predictions


def _fits(
    features: np.ndarray, labels: np.ndarray, penalties: list[float], config: ProbeConfig
) -> Iterator[Fit]:
    options = {"solver": config.solver, "max_iterations": config.max_iterations}
    return fit_path(features, labels, penalties, **options)


def _grid(
    walks: Mapping[str, list[Walk]], penalties: list[float], metric: str
) -> list[dict[str, Any]]:
    """Return one row per (feature set, penalty): mean and SD (n − 1) over the splits."""
    grid = []
    for name, walked in walks.items():
        for penalty, cells in zip(penalties, zip(*walked, strict=True), strict=True):
            values = [value for value, _ in cells]
            grid.append(
                {
                    "feature": name,
                    "penalty": penalty,
                    f"validation_{metric}_mean": fmean(values),
                    f"validation_{metric}_sd": stdev(values) if len(values) > 1 else 0.0,
                    "not_converged": sum(not converged for _, converged in cells),
                }
            )
    return grid


def _on_edge(best: dict[str, Any], grid: list[dict[str, Any]], metric: str) -> bool:
    key = f"validation_{metric}_mean"
    rows = [row for row in grid if row["feature"] == best["feature"]]
    flat = len({row[key] for row in rows}) == 1
    return not flat and best["penalty"] in (rows[0]["penalty"], rows[-1]["penalty"])
