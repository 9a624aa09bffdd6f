"""Overlaps of genomic intervals: task rows that share bases with training rows or other folds.

Starts and ends are 0-based and half-open.
"""

import numpy as np
import pandas as pd


def overlaps_train(locations: pd.DataFrame, split: pd.Series) -> np.ndarray:
    """Return a mask of the test rows that overlap a training row by a base or more, bool [N].

    `split` gives train or test for each row of `locations`; rows without a location never do.
    """
    starts, ends = _linear_coordinates(locations)
    train, test = ((split == name).to_numpy() for name in ("train", "test"))
    return test & _overlap_any(starts, ends, train)


def overlaps_other_fold(locations: pd.DataFrame, split: pd.Series, folds: pd.Series) -> np.ndarray:
    """Return a mask of the training rows that overlap one of other folds, bool [N].

    `folds` lists for each row the splits in which it is validation: of two such rows there is a
    split in which a model is fitted on the one and judged by the other.
    """
    starts, ends = _linear_coordinates(locations)
    train = (split == "train").to_numpy()
    groups, _ = pd.factorize(folds.map(tuple))
    result = np.zeros(len(locations), dtype=bool)
    for group in np.unique(groups[train]):
        own = train & (groups == group)
        result[own] = _overlap_any(starts, ends, train & (groups != group))[own]
    return result


def _linear_coordinates(locations: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends with all contigs one after the other on one line; -1 if none."""
    placed = locations["contig"].notna().to_numpy()
    contig = locations.groupby(["genome", "contig"], dropna=True).ngroup().to_numpy()
    starts, ends = (locations[key].fillna(-1).to_numpy(dtype=np.int64) for key in ("start", "end"))
    first = np.where(placed, contig, 0) * (ends.max(initial=0) + 1)
    return np.where(placed, first + starts, -1), np.where(placed, first + ends, -1)


def _overlap_any(starts: np.ndarray, ends: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return a mask of the rows that share a base with a row of the mask `others`."""
    others = np.flatnonzero(others & (starts >= 0))
    if not len(others):
        return np.zeros(len(starts), dtype=bool)
    others = others[np.argsort(starts[others], kind="stable")]
    # Of the others that begin before a row ends, does the one reaching furthest touch it?
    reach = np.maximum.accumulate(ends[others])
    before = np.searchsorted(starts[others], ends, side="left")
    return (starts >= 0) & (before > 0) & (reach[np.maximum(before - 1, 0)] > starts)
