"""Exact top-k accuracy and average precision of rare classes of bases, read in blocks.

Nothing of the size of all bases is made: the positive scores, the highest of all and counters are
kept. Shapes: R rows, L bases, C classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.scoring.stored_outputs import Outputs, row_blocks
from dnalm.benchmark.tasks.labels import NO_LABEL

MULTIPLES = (0.5, 1, 2, 4)  # of the true bases, as SpliceAI's top-k

Block = tuple[NDArray[np.bool_], NDArray[np.floating]]  # which bases are true, and their scores
Read = Callable[[], Iterator[Block]]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The scores of one class: `top_k` by multiple, and the average precision."""

    top_k: dict[float, float]
    average_precision: float


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a class has at or above the probabilities of its true bases, int64 [P], P ascending.

    `true` and `false` bases are as probable or more so, `false_above` are more probable;
    `false_all` are all that are not true.
    """

    true: NDArray[np.int64]
    false: NDArray[np.int64]
    false_above: NDArray[np.int64]
    false_all: int


def read_blocks(labels: np.ndarray, probabilities: Outputs, label: int) -> Iterator[Block]:
    """Yield the known bases of labels [R, L] and probabilities [R, L, C], in blocks of rows."""
    for rows in row_blocks(*labels.shape):
        own = labels[rows]
        known = own != NO_LABEL
        yield own[known] == label, probabilities[rows][..., label][known]


def rank(read: Read, multiples: Sequence[float] = MULTIPLES) -> Ranking | None:
    """Return the scores of what `read` yields, which is read four times; None without a true base.

    Top-k accuracy is |true and top| / min(|true|, |top|), the top being the k most probable bases
    and k a multiple of the true ones, rounded down, at least 1. Of equally probable ones, of which
    not all are among the k, their own share of true ones counts. The average precision is
    stepwise, as scikit-learn's.
    """
    counts = count_thresholds(read)
    if counts is None:
        return None
    sites = int(counts.true[0])
    wanted = [max(1, int(multiple * sites)) for multiple in multiples]
    highest, total = _highest(read, max(wanted))
    # With fewer bases than k all are among them.
    least = [highest[-min(k, total)] for k in wanted]
    above, equal, true_above, true_equal = np.zeros((4, len(wanted)), dtype=np.int64)
    for true, scores in read():
        for place, value in enumerate(least):
            higher, alike = scores > value, scores == value
            above[place] += higher.sum()
            equal[place] += alike.sum()
            true_above[place] += (higher & true).sum()
            true_equal[place] += (alike & true).sum()
    found = {}
    for place, (multiple, k) in enumerate(zip(multiples, wanted, strict=True)):
        k = min(k, total)
        hits = true_above[place] + (k - above[place]) * true_equal[place] / equal[place]
        found[multiple] = float(hits / min(k, sites))
    steps = -np.diff(counts.true, append=0) / sites
    precision = counts.true / (counts.true + counts.false)
    return Ranking(top_k=found, average_precision=float((steps * precision).sum()))


def count_thresholds(read: Read) -> Thresholds | None:
    """Return the counts of what `read` yields, which is read twice; None without a true base."""
    positive = np.sort(np.concatenate([scores[true] for true, scores in read()]))
    if not len(positive):
        return None
    values, first = np.unique(positive, return_index=True)
    # Below the first value, from each to the next; and up to the first, behind each up to the next.
    since, behind = np.zeros((2, len(values) + 1), dtype=np.int64)
    for true, scores in read():
        false = np.sort(scores[~true])  # in their order, thresholds are found several times faster
        for counts, side in ((since, "right"), (behind, "left")):
            places = np.searchsorted(values, false, side=side)
            counts += np.bincount(places, minlength=len(counts))
    return Thresholds(
        true=len(positive) - first,
        false=_from_above(since),
        false_above=_from_above(behind),
        false_all=int(since.sum()),
    )


def _from_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of all behind each place but the last."""
    return counts[::-1].cumsum()[::-1][1:]


def _highest(read: Read, number: int) -> tuple[NDArray[np.floating], int]:
    """Return the highest scores, ascending, and how many there are in all."""
    kept, total = np.empty(0), 0
    for _, scores in read():
        total += len(scores)
        if len(kept) == number:
            scores = scores[scores > kept.min()]
        kept = np.concatenate([kept, scores]).astype(scores.dtype)
        if len(kept) > number:
            kept = np.partition(kept, -number)[-number:]
    return np.sort(kept), total


def confusion(labels: np.ndarray, predictions: Outputs, classes: int) -> NDArray[np.int64]:
    """Return how often each class is predicted as each, int64 [C, C], of known rows or bases."""
    counts = np.zeros(classes * classes, dtype=np.int64)
    for rows in row_blocks(len(labels), labels[:1].size):
        own = labels[rows]
        known = own != NO_LABEL
        pairs = own[known].astype(np.int64) * classes + predictions[rows][known]
        counts += np.bincount(pairs, minlength=len(counts))
    return counts.reshape(classes, classes)


def matthews_of(counts: NDArray[np.int64]) -> float:
    """Return the Matthews correlation of a confusion matrix; 0 where one side is constant."""
    counts = counts.astype(np.float64)
    true, predicted, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    spread = (total**2 - (true**2).sum()) * (total**2 - (predicted**2).sum())
    hits = np.trace(counts) * total - (true * predicted).sum()
    return float(hits / np.sqrt(spread)) if spread > 0 else 0.0
