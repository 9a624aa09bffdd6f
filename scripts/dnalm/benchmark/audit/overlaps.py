"""Rows of a task that share bases of a genome with rows they are to be told apart from."""

import numpy as np
import pandas as pd


def overlaps_train(locations: pd.DataFrame, split: pd.Series) -> np.ndarray:
    """Return for each row whether it is a test row that shares a base with a training row.

    `split` gives train or test for each row of `locations`; rows without a location never do.
    """
    starts, ends = _on_one_line(locations)
    train, test = ((split == name).to_numpy() for name in ("train", "test"))
    return test & _touch(starts, ends, train)


def overlaps_other_fold(locations: pd.DataFrame, split: pd.Series, folds: pd.Series) -> np.ndarray:
    """Return for each row whether it is a training row that shares a base with one of other folds.

    `folds` lists for each row the splits in which it is validation: of two such rows there is a
    split in which a model is fitted on the one and judged by the other.
    """
    starts, ends = _on_one_line(locations)
    train = (split == "train").to_numpy()
    groups, _ = pd.factorize(folds.map(tuple))
    result = np.zeros(len(locations), dtype=bool)
    for group in np.unique(groups[train]):
        own = train & (groups == group)
        result[own] = _touch(starts, ends, train & (groups != group))[own]
    return result


def _on_one_line(locations: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends on a line that holds all contigs one after the other; -1 if none."""
    placed = locations["contig"].notna().to_numpy()
    contig = locations.groupby(["genome", "contig"], dropna=True).ngroup().to_numpy()
    starts, ends = (locations[key].fillna(-1).to_numpy(dtype=np.int64) for key in ("start", "end"))
    first = np.where(placed, contig, 0) * (ends.max(initial=0) + 1)
    return np.where(placed, first + starts, -1), np.where(placed, first + ends, -1)


def _touch(starts: np.ndarray, ends: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each row whether it shares a base with a row of the mask `others`."""
    others = np.flatnonzero(others & (starts >= 0))
    if not len(others):
        return np.zeros(len(starts), dtype=bool)
    others = others[np.argsort(starts[others], kind="stable")]
    # Of the others that begin before a row ends, does the one reaching furthest touch it?
    reach = np.maximum.accumulate(ends[others])
    before = np.searchsorted(starts[others], ends, side="left")
    return (starts >= 0) & (before > 0) & (reach[np.maximum(before - 1, 0)] > starts)
