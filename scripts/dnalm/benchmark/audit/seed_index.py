"""Which sequences are laid over each other, and on which diagonals: those that share seeds.

Seeds at few places lead to all of these. A seed at many places is a repeat: of its places a sample
is followed, spread evenly over the rows that a row has to be compared with, its circle. So what is
found of one circle depends neither on how large the others are nor on the order of rows.

Sequences stand side by side: training rows of one fold, of the next, ..., test rows last. A hit is
a diagonal where two sequences hold the same seed, as one number. Shapes: R sequences, S seeds, K
different seeds, P sides.
"""

from typing import NamedTuple

import numpy as np

from dnalm.benchmark.audit.minimizers import Seeds
from dnalm.compiled import compiled

MIDDLE = 1 << 31
# Of training rows those of other folds, of test rows all training rows; then those of the same
# side. Of training rows nobody asks for the closest test row.
OTHERS, OWN, UNASKED = range(3)
SHARE = 4  # a quarter of the places that are left is for the rarest repeat, then for the next


class Sides(NamedTuple):
    """Which sequences stand on which side."""

    of: np.ndarray  # int64 [R], ascending
    bounds: np.ndarray  # int64 [P + 1], the sequences of each
    test: int  # the side of test rows


class Index(NamedTuple):
    """The seeds of all sequences, and where else each one is."""

    rows: np.ndarray  # [S], as in Seeds
    places: np.ndarray  # [S]
    flipped: np.ndarray  # [S]
    limits: np.ndarray  # [R + 1], the seeds of each sequence
    numbers: np.ndarray  # [S], the number of each seed among the different ones
    order: np.ndarray  # [S], seeds by their numbers, then by sequences
    begins: np.ndarray  # [K + 1], of each number in `order`
    followed: np.ndarray  # bool [K], whether all places are
    starts: np.ndarray  # [R + 1], of each sequence among all bases
    k: int


def make_index(seeds: Seeds, starts: np.ndarray, k: int, most_places: int) -> Index:
    """Return the index of seeds, of which those at more than `most_places` are repeats."""
    _, numbers, counts = np.unique(seeds.kmers, return_inverse=True, return_counts=True)
    return Index(
        rows=seeds.rows,
        places=seeds.places,
        flipped=seeds.flipped,
        limits=np.searchsorted(seeds.rows, np.arange(len(starts))),
        numbers=numbers,
        order=np.argsort(numbers, kind="stable"),
        begins=np.concatenate(([0], np.cumsum(counts))),
        followed=counts <= most_places,
        starts=starts,
        k=k,
    )


def count_hits(index: Index) -> np.ndarray:
    """Return at most how many hits each sequence has in `rare_hits` [R]."""
    counts = np.where(index.followed, np.diff(index.begins), 0)[index.numbers]
    return np.diff(np.concatenate(([0], np.cumsum(counts)))[index.limits])


@compiled
def rare_hits(rows, largest, index):
    """Return the hits of the rare seeds of sequences with all later ones, sorted for each.

    The second array holds where those of each of the `rows` begin, and the end. `largest` is at
    least the number of hits.
    """
    hits, n = np.empty(largest, np.int64), 0
    limits = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        for seed in range(index.limits[rows[i]], index.limits[rows[i] + 1]):
            number = index.numbers[seed]
            if not index.followed[number]:
                continue
            for other in index.order[index.begins[number] : index.begins[number + 1]]:
                if index.rows[other] > rows[i]:
                    hits[n] = _hit(seed, other, index)
                    n += 1
        limits[i + 1] = n
        hits[limits[i] : n].sort()
    return hits[:n], limits


@compiled
def repeat_hits(rows, circle, most_places, index, sides):
    """Return hits of the repeats of sequences with those of a circle, as `rare_hits` does.

    Variants of one sequence share nothing but repeats. The rarest in the circle come first; in all
    `most_places` are followed of a sequence.
    """
    hits, n = np.empty(len(rows) * most_places, np.int64), 0
    limits = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        row, left = rows[i], most_places
        first, last = index.limits[row], index.limits[row + 1]
        counts = np.empty(last - first, np.int64)
        for seed in range(first, last):
            repeat = not index.followed[index.numbers[seed]]
            counts[seed - first] = _places(seed, row, circle, index, sides)[0] if repeat else 0
        for rank in np.argsort(counts):
            count, begin, gap, skipped = counts[rank], 0, 0, 0
            if not count or not left:
                continue
            seed, taken = first + rank, min(count, max(1, left // SHARE), left)
            _, begin, gap, skipped = _places(seed, row, circle, index, sides)
            offset = (row * 40503 + rank * 9973) % count
            for j in range(taken):
                place = begin + (offset + j * count // taken) % count
                if place >= gap:
                    place += skipped
                hits[n] = _hit(seed, index.order[place], index)
                n += 1
            left -= taken
        limits[i + 1] = n
        hits[limits[i] : n].sort()
    return hits[:n], limits


@compiled
def _hit(seed, other, index):
    """Return a hit as a number: 31 bits of the sequence, one of the strand, 32 of the diagonal."""
    owner, place = np.int64(index.rows[other]), np.int64(index.places[other])
    turned = np.int64(index.flipped[seed] != index.flipped[other])
    if turned:
        place = index.starts[owner + 1] - index.starts[owner] - index.k - place
    return (owner << 33) | (turned << 32) | (place - index.places[seed] + MIDDLE)


@compiled
def _places(seed, row, circle, index, sides):
    """Return how many places of a seed lie in a circle of a sequence, and where in `order`.

    They begin at the second number and lie together but for a gap: the third number is where it
    begins, the fourth how long it is.
    """
    side = sides.of[row]
    first, last = sides.bounds[side], sides.bounds[side + 1]
    hole, hole_end = row, row + 1
    if circle == OTHERS:
        hole, hole_end = (0, 0) if side == sides.test else (first, last)
        first, last = 0, sides.bounds[sides.test]
    number = index.numbers[seed]
    begin = _before(first, number, index)
    gap, skipped = begin, 0
    if hole < hole_end:
        gap = _before(hole, number, index)
        skipped = _before(hole_end, number, index) - gap
    return _before(last, number, index) - begin - skipped, begin, gap, skipped


@compiled
def _before(row, number, index):
    """Return where in `order` the places of a seed in a sequence, or in later ones, begin."""
    low, high = index.begins[number], index.begins[number + 1]
    while low < high:
        middle = (low + high) // 2
        if index.rows[index.order[middle]] < row:
            low = middle + 1
        else:
            high = middle
    return low
