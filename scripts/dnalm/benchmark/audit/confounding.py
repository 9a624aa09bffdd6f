"""Confounding of labels with GC content, length and strand: how much of them follows from these.

Shapes: N rows, C labels of a row.
"""

import re
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.kinds import BASES, NUMBER, Kind, find_kind
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.genome.composition import gc_content

STRAND = re.compile(r"\(([+-])\)$")  # in the provenance of a row that was cut from a genome
GUESS_FOLDS = 5  # a row's label is predicted from those of the other four
MAX_BINS = 100


def confounding(table: pd.DataFrame, kind: str) -> dict[str, dict[str, Any]]:
    """Return how well `gc`, `length` and `strand` alone predict labels, by out-of-fold AUC or ρ.

    The prediction for a row is the mean label of other folds' rows in the same quantile bin.
    `strength` is about 0 where values say nothing and about 1 where they decide, in whatever way:
    for classes and labels that are there or not 2 AUC − 1 (Somers' D), the mean over classes (each
    against the rest) or labels; for numbers Spearman's ρ, the mean over targets; for labels of
    bases ρ with the share of labelled bases. Predictions worse than chance count as 0. The strand
    is that in which a row was cut from its genome; its strength is None where rows do not say it.
    """
    values = {
        "gc": gc_content(table["sequence"])[:, 0],
        "length": table["sequence"].str.len().to_numpy(dtype=float),
        "strand": _strands(table),
    }
    traits = find_kind(kind)
    targets, ordered = _targets(traits.stack(table["label"]), traits)
    return {
        name: {
            "strength": None if value is None else _strength(value, targets, ordered),
        }
        for name, value in values.items()
    }


def _strands(table: pd.DataFrame) -> np.ndarray | None:
    """Return 1 for each row of the plus strand and 0 of the minus strand, [N]."""
    if "provenance" not in table:
        return None
    found = table["provenance"].str.extract(STRAND, expand=False)
    return None if found.isna().any() else (found == "+").to_numpy(dtype=float)


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
    bins = min(isqrt(len(value)), MAX_BINS)
    # √N bins of √N rows: with fewer a stripe is missed, with more a mean is noise.
    edges = np.quantile(value, np.arange(1, bins) / bins)
    cells = np.searchsorted(edges, value, side="right") * GUESS_FOLDS
    cells += np.random.default_rng(0).permutation(len(value)) % GUESS_FOLDS
    return float(np.mean([_agreement(_out_of_fold_means(cells, t), t, ordered) for t in varying]))


def _out_of_fold_means(cells: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the out-of-fold mean label of each row's bin, [N]; a cell is a bin and a fold.

    The mean of all rows of other folds counts as one more row of the bin: an empty bin has a mean,
    and a bin of few rows is drawn towards it.
    """
    size = (cells.max() // GUESS_FOLDS + 1) * GUESS_FOLDS
    counts = np.bincount(cells, minlength=size).reshape(-1, GUESS_FOLDS)
    sums = np.bincount(cells, weights=target, minlength=size).reshape(-1, GUESS_FOLDS)
    counts, sums = (of.sum(axis=1, keepdims=True) - of for of in (counts, sums))
    means = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return ((sums + means) / (counts + 1)).ravel()[cells]


def _agreement(guess: np.ndarray, target: np.ndarray, ordered: bool) -> float:
    if len(np.unique(guess)) < 2:
        return 0.0
    return max(0.0, spearman(guess, target) if ordered else somers_d(guess, target))


# By pandas: loading scipy.stats and scikit-learn takes as long as the rest of a small audit.
def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's ρ, the correlation of ranks; equal values share their mean rank."""
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])


def somers_d(guess: np.ndarray, target: np.ndarray) -> float:
    """Return Somers' D of a guess for labels 0 and 1, both there: 2 AUC − 1, ties count half.

    The AUC is the Mann-Whitney statistic over the number of pairs of a 1 and a 0.
    """
    positive = target == 1
    many = int(positive.sum())
    statistic = pd.Series(guess).rank()[positive].sum() - many * (many + 1) / 2
    return float(2 * statistic / (many * (len(target) - many)) - 1)
