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


def read_blocks(labels: np.ndarray, probabilities: Outputs, label: int) -> Iterator[Block]:
    """Yield the known bases of labels [R, L] and probabilities [R, L, C], in blocks of rows."""
    for rows in row_blocks(*labels.shape):
        own = labels[rows]
        known = own != NO_LABEL
        yield own[known] == label, probabilities[rows][..., label][known]


def rank(read: Read, multiples: Sequence[float] = MULTIPLES) -> Ranking | None:
    """Return the scores of what `read` yields, which is read three times; None without a true base.

    Top-k accuracy is |true and top| / min(|true|, |top|), the top being the k most probable bases
    and k a multiple of the true ones, rounded down, at least 1. Of equally probable ones, of which
    not all are among the k, their own share of true ones counts. The average precision is
    stepwise, as scikit-learn's.
    """
    positive = np.sort(np.concatenate([scores[true] for true, scores in read()]))
    if not len(positive):
        return None
    wanted = [max(1, int(multiple * len(positive))) for multiple in multiples]
    highest, total = _highest(read, max(wanted))
    # With fewer bases than k all are among them.
    least = [highest[-min(k, total)] for k in wanted]
    values, first = np.unique(positive, return_index=True)
    negatives = np.zeros(len(values) + 1, dtype=np.int64)  # below the first, from each to the next
    above, equal = (np.zeros(len(wanted), dtype=np.int64) for _ in range(2))
    for true, scores in read():
        places = np.searchsorted(values, scores[~true], side="right")
        negatives += np.bincount(places, minlength=len(negatives))
        above += [int((scores > value).sum()) for value in least]
        equal += [int((scores == value).sum()) for value in least]
    found = {}
    for multiple, k, value, higher, alike in zip(
        multiples, wanted, least, above, equal, strict=True
    ):
        k = min(k, total)
        true_above = len(positive) - np.searchsorted(positive, value, side="right")
        true_equal = len(positive) - np.searchsorted(positive, value) - true_above
        hits = true_above + (k - higher) * true_equal / alike
        found[multiple] = float(hits / min(k, len(positive)))
    true_from = len(positive) - first  # true bases that score as much as a value, or more
    false_from = negatives[::-1].cumsum()[::-1][1:]
    steps = -np.diff(true_from, append=0) / len(positive)
    precision = true_from / (true_from + false_from)
    return Ranking(top_k=found, average_precision=float((steps * precision).sum()))


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
