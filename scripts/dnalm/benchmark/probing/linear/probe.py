"""Linear probe: a linear model on fixed features, its layer and penalty selected on validation.

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
    LOSS_KEY,
    best_of,
    check_features,
    choice_facts,
    mean_and_sd,
    metric_of,
    rank,
    score_test_rows,
)
from dnalm.benchmark.probing.linear.solver import Outcome, Rows, SolverConfig, solve
from dnalm.benchmark.probing.linear.tolerances import MAX_CERTIFIED_GAP, MAX_GRADIENT, TARGET_GAP
from dnalm.benchmark.scoring.metrics import loss, single_score
from dnalm.benchmark.scoring.results import Result
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.jobs.partial import Partial
from dnalm.jobs.progress import Progress

# The validation score, loss, converged, iterations and gap of one fit; kept on disk by these keys.
FitScore = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The section `probe` of the config. For the solver see `SolverConfig`.

    `penalties` are scikit-learn's C (inverse strengths of the L2 penalty). `metric` selects on
    validation rows of classes; None, and all other kinds: the kind's first.
    """

    penalties: Sequence[float]
    max_iterations: int
    solver: str
    device: str
    metric: str | None

    @property
    def solving(self) -> SolverConfig:
        """The settings of the solver."""
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
    """Return the linear probe's test scores; feature set and penalty are selected on validation.

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
    kept = Partial(partial, {**facts, "tolerances": [MAX_GRADIENT, TARGET_GAP, MAX_CERTIFIED_GAP]})
    fits = _validate_all(features, splits, penalties, kind, metric, config, threads, kept)
    grid = _grid(fits, penalties, metric)
    # The sort is stable: of equal scores the stronger penalty, then the earlier feature set.
    ordered = sorted(grid, key=lambda row: row["penalty"])
    remedy = "choose another probe.metric, or lower cross_validation.splits"
    best = best_of(ordered, metric, "pairs of features and penalty", remedy)

    tested = [(split.training, splits.test) for split in splits]
    rows = _rows(features[best["feature"]], splits, kind)
    with Progress("fit the chosen one again", "fits", len(splits)) as progress:
        chosen, solving = [best["penalty"]], config.solving
        final = solve(rows, tested, chosen, solving, threads, progress, keep_models=True)
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
        fitted={fold: one.model.state() for fold, (one,) in zip(splits.folds, final, strict=True)},
        computed={},
    )


def _validate_all(
    features: Mapping[str, np.ndarray],
    splits: Splits,
    penalties: list[float],
    kind: str,
    metric: str,
    config: ProbeConfig,
    threads: int,
    kept: Partial,
) -> dict[str, list[list[FitScore]]]:
    """Return the validation scores of every fit, by feature set, split and penalty.

    Each finished feature set is kept.
    """
    fits = kept.read()
    if fits:
        log.info("%d of %d feature sets were finished before", len(fits), len(features))
    left = [name for name in features if name not in fits]
    what, total = f"fit {len(left)} feature sets", len(left) * len(splits) * len(penalties)
    with Progress(what, "fits", total) as progress:
        for name in left:
            parts = [(split.training, split.validation) for split in splits]
            rows = _rows(features[name], splits, kind)
            outcomes = solve(rows, parts, penalties, config.solving, threads, progress)
            fits[name] = [
                [_fit_score(splits.labels[split.validation], one, kind, metric) for one in path]
                for split, path in zip(splits, outcomes, strict=True)
            ]
            kept.write(name, fits[name])
    return {name: fits[name] for name in features}


def _rows(features: np.ndarray, splits: Splits, kind: str) -> Rows:
    return Rows(features=features, labels=splits.labels, kind=kind, classes=splits.classes)


def _fit_score(truth: np.ndarray, outcome: Outcome, kind: str, metric: str) -> FitScore:
    predictions = find_kind(kind).decide(outcome.outputs)
    return {
        "score": single_score(metric, truth, predictions, outcome.outputs, kind),
        "loss": loss(truth, outcome.outputs, kind),
        "converged": outcome.converged,
        "iterations": outcome.iterations,
        "gap": outcome.gap,
    }


def _grid(
    fits: Mapping[str, list[list[FitScore]]], penalties: list[float], metric: str
) -> list[dict[str, Any]]:
    """Return the validation grid, a row per (feature set, penalty): mean and SD over the splits.

    Splits without a score count in neither. How each fit ended stands in three lists in the
    order of the splits: `converged`, `iterations` and `gaps` (see `Outcome`); `not_converged`
    counts the fits that did not.
    """
    grid = []
    for name, by_split in fits.items():
        for penalty, cells in zip(penalties, zip(*by_split, strict=True), strict=True):
            scores = [cell["score"] for cell in cells]
            mean, deviation = mean_and_sd(scores)
            grid.append(
                {
                    "feature": name,
                    "penalty": penalty,
                    f"validation_{metric}_mean": mean,
                    f"validation_{metric}_sd": deviation,
                    LOSS_KEY: fmean(cell["loss"] for cell in cells),
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
