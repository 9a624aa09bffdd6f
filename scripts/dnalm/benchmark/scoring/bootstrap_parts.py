"""Bootstrap of methods on parts of their test rows, as of those on some contigs.

What was predicted of bases stays in its files, which are read class by class of each fold.
Shapes: F folds, R test rows, C classes of bases above 0, N bootstrap draws.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Predictions,
    Resampled,
    bootstrap,
    check_rows,
    other_rows,
    read_predictions,
    row_draws,
)
from dnalm.benchmark.scoring.resampled_metrics import mean_of_known
from dnalm.benchmark.scoring.stored_predictions import StoredPredictions
from dnalm.benchmark.scoring.top_bases import TopBases
from dnalm.benchmark.tasks.kinds import BASES, find_kind
from dnalm.errors import InputError
from dnalm.jobs.progress import progress

# Of the true bases of a class, so many of the most probable ones are kept: few draws take more.
KEPT = 4

Opened = Predictions | StoredPredictions


def open_predictions(path: str | Path, kind: str) -> Opened:
    """Read a predictions.parquet; of a task of bases it is opened only. Errors of both."""
    if find_kind(kind).shape == BASES:
        return StoredPredictions.open(path, kind)
    return read_predictions(path, kind)


def bootstrap_parts(
    methods: Sequence[Opened], parts: Sequence[NDArray[np.bool_]], config: BootstrapConfig
) -> list[list[Resampled]]:
    """Return for each part, a bool mask [R] with a row, what `bootstrap` gives for its rows.

    Of bases it is the same, and exact, with the memory of a block of rows and of a few times as
    many bases as are true of a class. Raises InputError when the methods were not scored on the
    same rows.
    """
    if not _are_stored(methods):
        for other in methods[1:]:
            check_rows(methods[0], other)
        return [bootstrap([method.select(part) for method in methods], config) for part in parts]
    first = methods[0]
    for other in methods[1:]:
        if not np.array_equal(first.ids, other.ids) or first.digests != other.digests:
            raise InputError(other_rows(len(first.ids), len(other.ids)))
    folds = [(method, fold) for method in methods for fold in method.folds]
    found = [
        _resample(method, fold, parts, config)
        for method, fold in progress(folds, "draw bases again", "splits of methods")
    ]
    return [
        [
            _mean_over_folds(
                [own[place] for own, (of, _) in zip(found, folds, strict=True) if of is method],
                int(part.sum()),
            )
            for method in methods
        ]
        for place, part in enumerate(parts)
    ]


def _are_stored(methods: Sequence[Opened]) -> TypeGuard[Sequence[StoredPredictions]]:
    return all(isinstance(method, StoredPredictions) for method in methods)


def _mean_over_folds(scores: list[NDArray[np.float64]], rows: int) -> Resampled:
    """Return what [F] arrays [1 + N] say, of which the first number is that of all rows."""
    mean = np.mean(scores, axis=0)
    return Resampled(score=float(mean[0]), drawn=mean[1:], rows=rows)


def _resample(
    method: StoredPredictions,
    fold: int,
    parts: Sequence[NDArray[np.bool_]],
    config: BootstrapConfig,
) -> list[NDArray[np.float64]]:
    """Return top-k accuracy of each part, the mean over classes: of all rows, and of draws."""
    classes = range(1, method.classes)
    tops = [
        method.top_bases(fold, label, KEPT * int(method.sites[label].sum()) + 1)
        for label in classes
    ]
    found = []
    for part in parts:
        own = dict(zip(classes, (top.select(part) for top in tops), strict=True))
        everything = np.ones((1, int(part.sum())), dtype=np.float32)
        scores = []
        for draws in chain([everything], row_draws(everything.shape[1], config)):
            shares = []
            for label, top in own.items():
                # In few rows a draw may leave out those with the best bases.
                while (share := top.shares(draws)) is None:
                    own[label] = top = _read_more(method, fold, label, part, top)
                shares.append(share)
            scores.append(mean_of_known(shares))
        found.append(np.concatenate(scores))
    return found


def _read_more(
    method: StoredPredictions, fold: int, label: int, part: NDArray[np.bool_], top: TopBases
) -> TopBases:
    """Return more of the best bases of a part: twice as many, or as many as it could take."""
    wanted = KEPT * int(top.sites.sum()) + 1
    return method.top_bases(fold, label, max(2 * int(top.sizes.sum()), wanted), part)
