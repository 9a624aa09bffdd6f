"""Bootstrap of scores over test rows, and paired differences between methods.

Letters in shapes: F folds, R test rows, C classes or the like, N bootstrap draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

from dnalm.benchmark.scoring.resampled_metrics import resampled_metric
from dnalm.benchmark.scoring.results import (
    PREDICTION_COLUMNS,
    check_folds,
    no_probabilities,
    read_arrays,
)
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError

# Resampled in chunks so that memory stays small on test sets of a hundred thousand rows.
CHUNK_WEIGHTS = 1 << 22
# Where a test row lies; contigs are what is known, not which of their bases training drew.
USED = "on contigs used for pretraining"
HELD_OUT = "on contigs held out of pretraining"
NO_SPLIT = "found, but on no contig of a split"
NOT_FOUND = "not found in the pretraining genomes"


@dataclass(frozen=True, kw_only=True)
class BootstrapConfig:
    """Number of bootstrap draws of the test rows, their seed, and the interval's coverage."""

    draws: int
    seed: int
    level: float


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What F models of one method said about the same R test rows, sorted by id."""

    ids: np.ndarray  # [R]
    labels: np.ndarray  # [R] or [R, ...], by kind, see `label_array`
    classes: np.ndarray  # [F, R] or [F, R, ...], what was predicted
    kind: str
    probabilities: np.ndarray | None = None  # [F, R, ..., C], of the kinds that are scored by them

    def select(self, rows: np.ndarray) -> "Predictions":
        """Return the test rows of a bool mask or index array."""
        return replace(
            self,
            ids=self.ids[rows],
            labels=self.labels[rows],
            classes=self.classes[:, rows],
            probabilities=None if self.probabilities is None else self.probabilities[:, rows],
        )


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """The score of one method on R test rows, mean over folds, and its bootstrap draws."""

    score: float
    drawn: np.ndarray  # float64 [N]; nan in a draw in which the score is not defined
    rows: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the percentile interval of this coverage."""
        return interval(self.drawn, level)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean score over folds of two methods, their difference, its interval and its p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    rows: int


def read_predictions(path: str | Path, kind: str) -> Predictions:
    """Read a predictions.parquet: id, fold, label, prediction, of some kinds probabilities.

    Those of bases are opened by `bootstrap_parts`, not read. Raises InputError when a fold misses a
    test row or holds one twice, and where probabilities are missing that the kind of task is scored
    by.
    """
    traits = find_kind(kind)
    table, *arrays = read_arrays(path, kind, None if traits.ranked else PREDICTION_COLUMNS)
    check_folds(table, path)
    if arrays[2] is None and traits.ranked:
        raise InputError(no_probabilities(path, kind))
    order = table.sort_values(["fold", "id"], kind="stable").index.to_numpy()
    if (np.diff(order) != 1).any():  # else a copy of gigabytes
        table, arrays = table.iloc[order], [a if a is None else a[order] for a in arrays]
    labels, predictions, probabilities = arrays
    folds, rows = table["fold"].nunique(), table["id"].nunique()
    return Predictions(
        ids=table["id"].to_numpy()[:rows],
        labels=labels[:rows],
        classes=predictions.reshape(folds, rows, *predictions.shape[1:]),
        probabilities=None
        if probabilities is None
        else probabilities.reshape(folds, rows, *probabilities.shape[1:]),
        kind=kind,
    )


def bootstrap(methods: Sequence[Predictions], config: BootstrapConfig) -> list[Resampled]:
    """Return the bootstrap of each method's score, the headline of the task's kind.

    Every draw takes the same test rows for all methods and folds. It covers the choice of test rows
    only, not other seeds of training. Raises InputError when the methods were not scored on the
    same rows.
    """
    first = methods[0]
    for other in methods[1:]:
        check_rows(first, other)
    scores = [
        resampled_metric(method.labels, method.classes, method.probabilities, method.kind)
        for method in methods
    ]
    everything = np.ones((1, len(first.ids)), dtype=np.float32)
    drawn = [[score(weights) for score in scores] for weights in row_draws(len(first.ids), config)]
    return [
        Resampled(score=float(score(everything)[0]), drawn=np.concatenate(own), rows=len(first.ids))
        for score, own in zip(scores, zip(*drawn, strict=True), strict=True)
    ]


def check_rows(first: Predictions, other: Predictions) -> None:
    """Raise InputError when two methods were not scored on the same rows."""
    if not np.array_equal(first.ids, other.ids) or not np.array_equal(first.labels, other.labels):
        raise InputError(other_rows(len(first.ids), len(other.ids)))


def other_rows(first: int, second: int) -> str:
    """Return the sentence on methods of one task that were scored on different test rows."""
    return (
        f"The two methods were scored on different test rows ({first} and {second}); delete their "
        f"results and run both again."
    )


def subtract(first: Resampled, second: Resampled, level: float) -> Difference:
    """Return the score of `first` minus that of `second`, both of one call of `bootstrap`.

    The p-value is two-sided, of a normal distribution with the draws' standard deviation: shares of
    draws could not become small enough to be corrected for many comparisons.
    """
    drawn = first.drawn - second.drawn
    difference = first.score - second.score
    low, high = interval(drawn, level)
    known = drawn[~np.isnan(drawn)]
    return Difference(
        first=first.score,
        second=second.score,
        difference=difference,
        low=low,
        high=high,
        p_value=_p_value(difference, known.std(ddof=1) if len(known) > 1 else np.nan),
        rows=first.rows,
    )


def _p_value(difference: float, deviation: float) -> float:
    if np.isnan(difference) or np.isnan(deviation):
        return float("nan")
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * ndtr(-abs(difference) / deviation))


def interval(drawn: np.ndarray, level: float) -> tuple[float, float]:
    """Return the percentile interval of the draws that are defined; nan, nan without any."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_means(
    sums: np.ndarray, counts: np.ndarray, config: BootstrapConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means [V] and both ends of their intervals, from sums [R, V] over `counts` [R] each.

    Rows are drawn with all that they hold: a mean is the sum over rows by the sum of counts.
    """
    drawn = np.concatenate(
        [(times @ sums) / (times @ counts)[:, None] for times in row_draws(len(sums), config)]
    )
    lows, highs = np.quantile(drawn, [(1 - config.level) / 2, (1 + config.level) / 2], axis=0)
    return sums.sum(0) / counts.sum(), lows, highs


def stratified_draws(strata: np.ndarray, config: BootstrapConfig) -> Iterator[np.ndarray]:
    """Yield how often each row was drawn, float32 [<= N, R], `draws` in all.

    Rows are drawn within their stratum, of which a draw holds as many as there are: what share of
    variants is harmful, for one, was set by whoever gathered them and is no chance.
    """
    generator = np.random.default_rng(config.seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    chunk = max(1, CHUNK_WEIGHTS // max(len(strata), 1))
    for start in range(0, config.draws, chunk):
        times = np.zeros((min(chunk, config.draws - start), len(strata)), dtype=np.float32)
        for rows in members:
            times[:, rows] = _count_draws(len(rows), len(times), generator)
        yield times


def verdict(difference: float, p_value: float, level: float) -> str:
    """Return what a difference says at this level: better, worse or no clear difference.

    `p_value` is the corrected one; one that is missing says nothing.
    """
    if not p_value < 1 - level:
        return "no clear difference"
    return "better" if difference > 0 else "worse"


def region_masks(ids: np.ndarray, locations: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return bool masks [R] of rows, named by their ids, by where they lie.

    `locations` has the columns id, genome (missing when the sequence was not found),
    pretraining_split (train, validation or test: the part of the corpus to which its contig
    belongs; missing for a contig of no part) and overlaps_train (it shares a base with a training
    row of the task). Of a row that was not found nobody knows whether it overlaps one.
    """
    known = locations.drop_duplicates("id").set_index("id").reindex(ids)
    found = known["genome"].notna().to_numpy()
    split = known["pretraining_split"].fillna("").to_numpy(dtype=str)
    overlaps = known["overlaps_train"].fillna(False).to_numpy(dtype=bool)
    return {
        USED: found & (split == "train"),
        HELD_OUT: found & np.isin(split, ["validation", "test"]),
        NO_SPLIT: found & (split == ""),
        NOT_FOUND: ~found,
        "found, overlapping a training row": found & overlaps,
        "found, not overlapping a training row": found & ~overlaps,
    }


def row_draws(rows: int, config: BootstrapConfig) -> Iterator[np.ndarray]:
    """Yield how often each row was drawn, float32 [<= N, R], `draws` in all."""
    generator = np.random.default_rng(config.seed)
    chunk = max(1, CHUNK_WEIGHTS // max(rows, 1))
    for start in range(0, config.draws, chunk):
        yield _count_draws(rows, min(chunk, config.draws - start), generator)


def _count_draws(rows: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Return how often each row was drawn, float32 [draws, rows]."""
    drawn = generator.integers(rows, size=(draws, rows)) + rows * np.arange(draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=draws * rows)
    return times.reshape(draws, rows).astype(np.float32)
