"""Alignment of a sequence to a genome on a seed's diagonal, with one insertion or deletion at most.

Shapes: n bases of the sequence, S shifts.
"""

from typing import NamedTuple

import numpy as np

# Between assemblies a place differs by single letters. Old copies of a repeat agree in fewer bases:
# Alus, the most frequent ones, in 80 to 90 % where they are not of the youngest families.
MIN_IDENTITY = 0.9
MAX_SHIFT = 10  # bases inserted or deleted
# So many more bases have to agree: the last few bases agree with something nearby by chance.
MIN_GAIN = 8
OUTSIDE = 255  # code of what lies beyond the genome's ends; equal to none
SHIFTS = np.array(sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs))[:, None]


class Alignment(NamedTuple):
    """The place of a sequence, 0-based half-open, and its identity, the share of equal columns.

    Inserted and deleted bases are columns that do not agree.
    """

    start: int
    end: int
    identity: float


def align(
    query: np.ndarray, codes: np.ndarray, start: int, seed: tuple[int, int]
) -> Alignment | None:
    """Return the best alignment of `query` to `codes` near `start`; None below an identity of 0.9.

    `seed`, 0-based half-open, is the part of the query that is known to agree when the query's
    first base lies at `start`. The bases on one side of a breakpoint follow this diagonal; those on
    the other side may follow one at most ten bases away, if that makes eight or more further bases
    agree.
    """
    n = len(query)
    if start < -MAX_SHIFT or start + n > len(codes) + MAX_SHIFT:
        return None
    there = _cut(codes, start, start + n)
    wrong = np.concatenate(([0], np.cumsum(there != query)))
    # One side of the seed has no breakpoint: it lies on the diagonal.
    if min(wrong[seed[0]], wrong[n] - wrong[seed[1]]) > (1 - MIN_IDENTITY) * n:
        return None
    found = Alignment(start, start + n, 1 - wrong[n] / n)
    if wrong[n] >= MIN_GAIN:
        found = _with_shift(query, codes, start, int(n - wrong[n])) or found
    inside = found.start >= 0 and found.end <= len(codes)
    return found if inside and found.identity >= MIN_IDENTITY else None


def _with_shift(
    query: np.ndarray, codes: np.ndarray, start: int, straight: int
) -> Alignment | None:
    """Return the best alignment with one gap, if it gains enough over `straight` equal bases."""
    n = len(query)
    there = _cut(codes, start - MAX_SHIFT, start + n + MAX_SHIFT)
    diagonals = np.lib.stride_tricks.sliding_window_view(there, n)[MAX_SHIFT + SHIFTS[:, 0]]
    # Prefix sums [S, n + 1]: equal bases before each breakpoint, so that every pair of shift and
    # breakpoint costs one addition. Row 0 is the diagonal of the seed.
    before = np.zeros((len(SHIFTS), n + 1), dtype=np.int64)
    np.cumsum(diagonals == query, axis=1, out=before[:, 1:])
    breakpoints = np.arange(n + 1)[None]
    total = before[:, -1:]
    # Where the sequence has more bases than the genome, these follow neither diagonal.
    resumed = np.minimum(breakpoints + np.maximum(-SHIFTS, 0), n)
    shifted_end = before[:1] + total - np.take_along_axis(before, resumed, axis=1)
    resumed = np.minimum(breakpoints + np.maximum(SHIFTS, 0), n)
    shifted_start = before + total[0] - before[0][resumed]

    ends, starts = shifted_end.max(axis=1), shifted_start.max(axis=1)
    at_end = ends.max() >= starts.max()
    equal = ends if at_end else starts
    row = int(equal.argmax())  # the smallest shift of those that are best
    if equal[row] < straight + MIN_GAIN:
        return None
    shift = int(SHIFTS[row, 0])
    first, last = (start, start + n + shift) if at_end else (start + shift, start + n)
    return Alignment(first, last, float(equal[row]) / max(n, last - first))


def _cut(codes: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return codes[start:end], padded with OUTSIDE where it reaches beyond the ends."""
    inside = codes[max(0, start) : max(0, end)]
    if len(inside) == end - start:
        return inside
    left = max(0, -start)
    return np.pad(inside, (left, end - start - left - len(inside)), constant_values=OUTSIDE)
