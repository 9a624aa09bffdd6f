"""The probe: a linear model on fixed features, its feature set and penalty chosen on splits.

Shapes: N rows of the task table, F features, P penalties.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.probing.choice import (
    LOSS,
    best_of,
    check_features,
    choice_facts,
    mean_and_sd,
    metric_of,
    rank,
    score_test_rows,
)
from dnalm.benchmark.probing.linear.solver import Outcome, Rows, SolverConfig, solve
from dnalm.benchmark.probing.linear.tolerances import CERTIFIED, GAP, GRADIENT
from dnalm.benchmark.scoring.metrics import loss, single_score
from dnalm.benchmark.scoring.results import Result
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.partial import Partial

# score, converged, iterations and gap of one fit.
Walked = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """`penalties` are scikit-learn's C (inverse strengths). For the solver see `SolverConfig`.

    `metric` picks on validation rows of classes; None, and all other kinds: the kind's first.
    """

    penalties: Sequence[float]
    max_iterations: int
    solver: str
    device: str
    metric: str | None

    @property
    def solving(self) -> SolverConfig:
        """What the solver reads."""
        return SolverConfig(
            solver=self.solver, max_iterations=self.max_iterations, device=self.device
        )


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
    that split's training rows, and a linear model with an L2 penalty is fitted on these rows
    (`solve`). The pair with the best mean validation score over all splits is kept (ties: the
    smaller validation loss, then the stronger penalty, then the earlier feature set); only its
    models, one per split and fitted again from zero, see the test rows. `edge` says that the choice
    is the weakest or strongest penalty of a grid on which the penalty matters.

    `threads` are those of the batched solver, or processes that share the splits among them. The
    validation scores of a finished feature set are kept below the folder `partial` and read from
    there by the next call on the same. Raises InputError when a feature set does not fit the table
    or holds numbers that are not finite, and when no split's validation rows define the metric.
    """
    started = time.monotonic()
    splits, metric = Splits(table, kind), metric_of(kind, config.metric)
    penalties = sorted({float(penalty) for penalty in config.penalties})
    check_features(features, len(table))

    facts = choice_facts(features, splits, kind, asdict(config))
    kept = Partial(partial, {**facts, "tolerances": [GRADIENT, GAP, CERTIFIED]})
    walks = _walk_all(features, splits, penalties, kind, metric, config, threads, kept)
    grid = _grid(walks, penalties, metric)
    # The sort is stable: of equal scores the stronger penalty, then the earlier feature set.
    ordered = sorted(grid, key=lambda row: row["penalty"])
    remedy = "choose another probe.metric, or lower cross_validation.splits"
    best = best_of(ordered, metric, "pairs of features and penalty", remedy)

    tested = [(split.training, splits.test) for split in splits]
    rows = _rows(features[best["feature"]], splits, kind)
    final = solve(rows, tested, [best["penalty"]], config.solving, threads)
    scores, predictions = score_test_rows(
        table, splits, kind, [outcome.outputs for (outcome,) in final]
    )
    limited = sum(not outcome.converged for (outcome,) in final)
    not_converged = limited + sum(row["not_converged"] for row in grid)
    if limited:
        log.warning("models of the choice itself did not converge: raise probe.max_iterations")
    if not_converged:
        log.warning(
            "%d of %d fits did not converge within probe.max_iterations = %d",
            not_converged,
            (len(grid) + 1) * len(splits),
            config.max_iterations,
        )
    return Result(
        selected={"feature": best["feature"], "penalty": best["penalty"]},
        edge=_on_edge(best, grid, metric),
        grid=grid,
        scores=scores,
        predictions=predictions,
        seconds=time.monotonic() - started,
        not_converged=not_converged,
    )


def _walk_all(
    features: Mapping[str, np.ndarray],
    splits: Splits,
    penalties: list[float],
    kind: str,
    metric: str,
    config: ProbeConfig,
    threads: int,
    kept: Partial,
) -> dict[str, list[list[Walked]]]:
    """Return what every fit scored on its validation rows: by feature set, split and penalty.

    Each finished feature set is kept.
    """
    walks = kept.read()
    if walks:
        log.info("%d of %d feature sets were finished before", len(walks), len(features))
    for name in features:
        if name not in walks:
            parts = [(split.training, split.validation) for split in splits]
            rows = _rows(features[name], splits, kind)
            outcomes = solve(rows, parts, penalties, config.solving, threads)
            walks[name] = [
                [_walked(splits.labels[split.validation], one, kind, metric) for one in path]
                for split, path in zip(splits, outcomes, strict=True)
            ]
            kept.write(name, walks[name])
    return {name: walks[name] for name in features}


def _rows(features: np.ndarray, splits: Splits, kind: str) -> Rows:
    return Rows(features=features, labels=splits.labels, kind=kind, classes=splits.classes)


def _walked(truth: np.ndarray, outcome: Outcome, kind: str, metric: str) -> Walked:
    predictions = find_kind(kind).decide(outcome.outputs)
    return {
        "score": single_score(metric, truth, predictions, outcome.outputs, kind),
        "loss": loss(truth, outcome.outputs, kind),
        "converged": outcome.converged,
        "iterations": outcome.iterations,
        "gap": outcome.gap,
    }


def _grid(
    walks: Mapping[str, list[list[Walked]]], penalties: list[float], metric: str
) -> list[dict[str, Any]]:
    """Return one row per (feature set, penalty): mean and SD over the splits that have a score.

    How each fit ended stands in three lists in the order of the splits: `converged`, `iterations`
    and `gaps` (see `Outcome`), for which `not_converged` is a count.
    """
    grid = []
    for name, walked in walks.items():
        for penalty, cells in zip(penalties, zip(*walked, strict=True), strict=True):
            scores = [cell["score"] for cell in cells]
            mean, deviation = mean_and_sd(scores)
            grid.append(
                {
                    "feature": name,
                    "penalty": penalty,
                    f"validation_{metric}_mean": mean,
                    f"validation_{metric}_sd": deviation,
                    LOSS: fmean(cell["loss"] for cell in cells),
                    "unscored": sum(map(math.isnan, scores)),
                    "not_converged": sum(not cell["converged"] for cell in cells),
                    "converged": [cell["converged"] for cell in cells],
                    "iterations": [cell["iterations"] for cell in cells],
                    "gaps": [cell["gap"] for cell in cells],
                }
            )
    return grid


def _on_edge(best: dict[str, Any], grid: list[dict[str, Any]], metric: str) -> bool:
    rows = [row for row in grid if row["feature"] == best["feature"]]
    flat = len({rank(row, metric) for row in rows}) == 1
    return not flat and best["penalty"] in (rows[0]["penalty"], rows[-1]["penalty"])
