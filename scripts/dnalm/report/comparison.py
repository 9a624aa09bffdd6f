"""Paired comparison of two methods on the same test rows.

Letters in shapes: F folds, R test rows, C classes or the like, N bootstrap draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dnalm.benchmark.metrics import headline
from dnalm.benchmark.resampling import resampled_metric
from dnalm.benchmark.results import PREDICTION_COLUMNS, RANKED, prediction_arrays
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
    """How often test rows are drawn again, from which seed, and the interval's coverage."""

    draws: int
    seed: int
    level: float


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What F models of one method said about the same R test rows, sorted by id."""

    ids: np.ndarray  # [R]
    labels: np.ndarray  # [R] or [R, ...], by kind, see `label_array`
    classes: np.ndarray  # [F, R] or [F, R, ...], what was predicted
    probabilities: np.ndarray | None = None  # [F, R, ..., C], of the kinds that are scored by them
    kind: str = "multiclass"

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
class Difference:
    """Mean score over folds of two methods, their difference and its interval."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    rows: int


def read_predictions(path: str | Path, kind: str = "multiclass") -> Predictions:
    """Read a predictions.parquet: id, fold, label, prediction, of some kinds probabilities.

    Raises InputError when a fold misses a test row or holds one twice, and where probabilities are
    missing that the kind of task is scored by.
    """
    table = pd.read_parquet(path, columns=None if kind in RANKED else PREDICTION_COLUMNS)
    table = table.sort_values(["fold", "id"], kind="stable")
    folds = table["fold"].nunique()
    ids = table["id"].unique()
    if len(table) != folds * len(ids) or table.duplicated(["fold", "id"]).any():
        raise InputError(
            f"{path}: {len(table)} rows for {folds} folds and {len(ids)} test rows, while every "
            f"fold predicts every test row once; delete the file and run again."
        )
    labels, predictions, probabilities = prediction_arrays(table, kind)
    if probabilities is None and kind in RANKED:
        raise InputError(
            f"{path}: there are no probabilities, by which a {kind} task is scored "
            f"({headline(kind)}); delete the file and run again."
        )
    shape = (folds, len(ids))
    return Predictions(
        ids=table["id"].to_numpy()[: len(ids)],
        labels=labels[: len(ids)],
        classes=predictions.reshape(shape + predictions.shape[1:]),
        probabilities=None
        if probabilities is None
        else probabilities.reshape(shape + probabilities.shape[1:]),
        kind=kind,
    )


def paired_bootstrap(
    first: Predictions, second: Predictions, config: BootstrapConfig
) -> Difference:
    """Return mean-over-folds score of `first` minus that of `second` with a percentile interval.

    The score is the first metric of the task's kind. A draw in which it is not defined (multilabel:
    no label of which both classes were drawn) is left out.

    Every draw takes the same test rows for both methods and all folds. The interval covers the
    choice of test rows only, not other seeds of training. Raises InputError when the two were not
    scored on the same rows.
    """
    if not np.array_equal(first.ids, second.ids) or not np.array_equal(first.labels, second.labels):
        raise InputError(
            f"The two methods were scored on different test rows ({len(first.ids)} and "
            f"{len(second.ids)}); delete their results and run both again."
        )
    everything = np.ones((1, len(first.ids)), dtype=np.float32)
    scores = [
        resampled_metric(method.labels, method.classes, method.probabilities, method.kind)
        for method in (first, second)
    ]
    whole = [score(everything)[0] for score in scores]
    drawn = np.concatenate(
        [scores[0](weights) - scores[1](weights) for weights in _draws(len(first.ids), config)]
    )
    tail = (1 - config.level) / 2
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
    return Difference(
        first=float(whole[0]),
        second=float(whole[1]),
        difference=float(whole[0] - whole[1]),
        low=float(low),
        high=float(high),
        rows=len(first.ids),
    )


def verdict(low: float, high: float) -> str:
    """Return what an interval of a difference says: better, worse or no clear difference."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no clear difference"


def regions(predictions: Predictions, locations: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return bool masks [R] of the test rows by where they lie in the pretraining genomes.

    `locations` has the columns id, genome (missing when the sequence was not found),
    pretraining_split (train, validation or test: the part of the corpus to which its contig
    belongs; missing for a contig of no part) and overlaps_train (it shares a base with a training
    row of the task). Of a row that was not found nobody knows whether it overlaps one.
    """
    known = locations.drop_duplicates("id").set_index("id").reindex(predictions.ids)
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


def _draws(rows: int, config: BootstrapConfig) -> Iterator[np.ndarray]:
    """Yield how often each row was drawn, float32 [<= N, R], `draws` in all."""
    generator = np.random.default_rng(config.seed)
    chunk = max(1, CHUNK_WEIGHTS // max(rows, 1))
    for start in range(0, config.draws, chunk):
        size = min(chunk, config.draws - start)
        drawn = generator.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * rows)
        yield times.reshape(size, rows).astype(np.float32)
