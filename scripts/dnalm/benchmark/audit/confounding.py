"""How much of a task's labels follows from GC content or length alone.

Shapes: N rows, C labels of a row.
"""

from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from dnalm.benchmark.tasks.kinds import BASES, NUMBER, Kind, find_kind
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.genome.composition import gc_content

FOLDS = 5  # a row's label is guessed from those of the other four
MOST_BINS = 100


def confounding(table: pd.DataFrame, kind: str) -> dict[str, dict[str, Any]]:
    """Return for `gc` and `length` how well the labels of rows are guessed from them alone.

    The guess for a row is the mean label of other rows whose value lies in the same quantile.
    `strength` is about 0 where values say nothing and about 1 where they decide, in whatever way:
    for classes and labels that are there or not 2 AUC − 1 of the guess, the mean over classes (each
    against the rest) or labels; for numbers its Spearman's ρ, the mean over targets; for labels of
    bases ρ with the share of labelled bases. Guesses worse than chance count as 0.
    """
    values = {
        "gc": gc_content(table["sequence"])[:, 0],
        "length": table["sequence"].str.len().to_numpy(dtype=float),
    }
    traits = find_kind(kind)
    targets, ordered = _targets(traits.stack(table["label"]), traits)
    return {
        name: {
            "strength": _strength(value, targets, ordered),
        }
        for name, value in values.items()
    }


def _targets(labels: np.ndarray, kind: Kind) -> tuple[list[np.ndarray], bool]:
    """Return the labels as C arrays [N], and whether they are numbers instead of yes and no."""
    if kind.one_class:
        return [(labels == one).astype(int) for one in np.unique(labels)], False
    if kind.shape == BASES:
        known = (labels != NO_LABEL).sum(axis=1)
        return [(labels > 0).sum(axis=1) / np.maximum(known, 1)], True
    return list(labels.T), kind.value == NUMBER


def _strength(value: np.ndarray, targets: list[np.ndarray], ordered: bool) -> float | None:
    """Return the mean over targets that vary; None where none does, 0 for a constant value."""
    varying = [target for target in targets if len(np.unique(target)) > 1]
    if not varying:
        return None
    if len(np.unique(value)) < 2:
        return 0.0
    bins = min(isqrt(len(value)), MOST_BINS)
    edges = np.quantile(value, np.arange(1, bins) / bins)
    cells = np.searchsorted(edges, value, side="right") * FOLDS
    cells += np.random.default_rng(0).permutation(len(value)) % FOLDS
    return float(np.mean([_agreement(_guess(cells, t), t, ordered) for t in varying]))


def _guess(cells: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the mean of the other folds' rows in each row's bin [N]; a cell is bin and fold.

    The mean of all other rows counts as one more row of the bin.
    """
    size = (cells.max() // FOLDS + 1) * FOLDS
    counts = np.bincount(cells, minlength=size).reshape(-1, FOLDS)
    sums = np.bincount(cells, weights=target, minlength=size).reshape(-1, FOLDS)
    counts, sums = (of.sum(axis=1, keepdims=True) - of for of in (counts, sums))
    means = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return ((sums + means) / (counts + 1)).ravel()[cells]


def _agreement(guess: np.ndarray, target: np.ndarray, ordered: bool) -> float:
    if len(np.unique(guess)) < 2:
        return 0.0
    found = spearmanr(guess, target).statistic if ordered else 2 * roc_auc_score(target, guess) - 1
    return max(0.0, float(found))
