"""Seed index: which sequences share minimizers, and the diagonals of these hits.

Rare seeds lead to all of their places. A seed at many places is a repeat: of its places a sample is
followed, spread evenly over one comparison group of a sequence at a time. So what is found in one
group depends neither on how large the others are nor on the order of rows.

Sequences stand in order of their sides: training rows of one fold, of the next, ..., test rows
last. A hit is a diagonal on which two sequences hold the same seed, as one number. Shapes: R
sequences, S seeds, K different seeds, P sides, M sequences that are looked at, H hits.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dnalm.benchmark.audit.minimizers import Minimizers
from dnalm.compiled import compiled

DIAGONAL_OFFSET = 1 << 31  # makes a diagonal, which may be negative, a number of 32 bits
# The comparison groups of a sequence. OTHER_SIDES: of training rows those of other folds, of test
# rows all training rows. OWN_SIDE: the other rows of its fold, or of the test set. NOT_COMPARED: of
# training rows the test rows, because nobody asks for the closest test row.
OTHER_SIDES, OWN_SIDE, NOT_COMPARED = range(3)
BUDGET_DIVISOR = 4  # a quarter of the places that are left is for the rarest repeat, then the next


class Sides(NamedTuple):
    """The sides of a comparison: folds of the training rows, and the test rows."""

    of: np.ndarray  # int64 [R], ascending
    bounds: np.ndarray  # int64 [P + 1], the sequences of each
    test: int  # the side of test rows


class Index(NamedTuple):
    """The seeds of all sequences, and where else each one is."""

    rows: np.ndarray  # [S], as in Minimizers
    positions: np.ndarray  # [S]
    flipped: np.ndarray  # [S]
    seed_bounds: np.ndarray  # [R + 1], the seeds of each sequence
    kmer_ids: np.ndarray  # [S], the number of each seed among the different ones
    by_kmer: np.ndarray  # [S], seeds by their k-mer, then by sequences
    by_row: np.ndarray  # [S], seeds by their sequence, then by k-mers
    different: np.ndarray  # [R], k-mers of each sequence
    repetitive: np.ndarray  # bool [R], whether a sequence holds a repeat
    kmer_bounds: np.ndarray  # [K + 1], of each k-mer in `by_kmer`
    rare: np.ndarray  # bool [K], whether all places are followed; the others are repeats
    starts: np.ndarray  # [R + 1], of each sequence among all bases
    k: int


def make_index(seeds: Minimizers, starts: np.ndarray, k: int, most_places: int) -> Index:
    """Return the index of seeds, of which those at more than `most_places` are repeats."""
    _, kmer_ids, counts = np.unique(seeds.kmers, return_inverse=True, return_counts=True)
    rows, rare = len(starts) - 1, counts <= most_places
    # What numba would have to compile a sort for is sorted here.
    pairs = seeds.rows.astype(np.int64) * len(counts) + kmer_ids
    by_row = np.argsort(pairs)
    new = np.diff(pairs[by_row], prepend=-1) > 0
    return Index(
        rows=seeds.rows,
        positions=seeds.positions,
        flipped=seeds.flipped,
        seed_bounds=np.searchsorted(seeds.rows, np.arange(len(starts))),
        kmer_ids=kmer_ids,
        by_kmer=np.argsort(kmer_ids, kind="stable"),
        by_row=by_row,
        different=np.bincount(seeds.rows[by_row[new]], minlength=rows),
        repetitive=np.bincount(seeds.rows[~rare[kmer_ids]], minlength=rows) > 0,
        kmer_bounds=np.concatenate(([0], np.cumsum(counts))),
        rare=rare,
        starts=starts,
        k=k,
    )


def count_hits(index: Index) -> np.ndarray:
    """Return an upper bound of the hits that each sequence has in `rare_hits`, int64 [R]."""
    counts = np.where(index.rare, np.diff(index.kmer_bounds), 0)[index.kmer_ids]
    return np.diff(np.concatenate(([0], np.cumsum(counts)))[index.seed_bounds])


def rare_hits(rows, max_hits, index):
    """Return the hits of the rare seeds of sequences [M] with all later ones, sorted for each.

    Hits are int64 [H]; the second array [M + 1] holds where those of each of the `rows` begin, and
    the end. `max_hits` is at least the number of hits.
    """
    return _sort_parts(*_follow_rare_seeds(rows, max_hits, index))


def repeat_hits(rows, group, most_places, index, sides):
    """Return a sample of the hits of repeats of sequences with a comparison group, as `rare_hits`.

    Variants of one sequence share nothing but repeats. The rarest in the group come first; in all
    `most_places` are followed of a sequence.
    """
    repeats = _sort_parts(*_count_repeats(rows, group, index, sides))
    return _sort_parts(*_follow_repeats(rows, group, most_places, *repeats, index, sides))


def _sort_parts(values, bounds):
    """Return values [H], each part between two of the bounds [M + 1] sorted in place, and these."""
    # By NumPy, which sorts numbers faster than a loop of numba and needs no compiling.
    for begin, end in pairwise(bounds.tolist()):
        values[begin:end].sort()
    return values, bounds


@compiled
def _follow_rare_seeds(rows, max_hits, index):
    """Return the hits of the rare seeds of sequences [M] with all later ones, and their bounds."""
    hits, n = np.empty(max_hits, np.int64), 0
    bounds = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        for seed in range(index.seed_bounds[rows[i]], index.seed_bounds[rows[i] + 1]):
            kmer = index.kmer_ids[seed]
            if not index.rare[kmer]:
                continue
            for place in range(index.kmer_bounds[kmer], index.kmer_bounds[kmer + 1]):
                other = index.by_kmer[place]
                if index.rows[other] > rows[i]:  # a pair is found once, from its first sequence
                    hits[n] = _pack_hit(seed, other, index)
                    n += 1
        bounds[i + 1] = n
    return hits[:n], bounds


@compiled
def _count_repeats(rows, group, index, sides):
    """Return the repeats of sequences [M] that a comparison group holds, and their bounds [M + 1].

    A repeat is a number, how many places it has there above the 32 bits of which seed of its
    sequence it is.
    """
    most = 0
    for row in rows:
        most += index.seed_bounds[row + 1] - index.seed_bounds[row]
    repeats, n = np.empty(most, np.int64), 0
    bounds = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        first = index.seed_bounds[rows[i]]
        for seed in range(first, index.seed_bounds[rows[i] + 1]):
            if index.rare[index.kmer_ids[seed]]:
                continue
            count = _occurrences(seed, rows[i], group, index, sides)[0]
            if count:
                repeats[n] = (count << 32) | (seed - first)
                n += 1
        bounds[i + 1] = n
    return repeats[:n], bounds


@compiled
def _follow_repeats(rows, group, most_places, repeats, repeat_bounds, index, sides):
    """Return a sample of the hits of sorted repeats with a comparison group, and their bounds."""
    hits, n = np.empty(len(rows) * most_places, np.int64), 0
    bounds = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        row, left = rows[i], most_places
        for repeat in repeats[repeat_bounds[i] : repeat_bounds[i + 1]]:
            if not left:
                break
            rank = repeat & 0xFFFFFFFF
            seed = index.seed_bounds[row] + rank
            count, begin, gap, skipped = _occurrences(seed, row, group, index, sides)
            # None uses up the budget alone: a pair that this repeat misses, another may find.
            taken = min(count, max(1, left // BUDGET_DIVISOR), left)
            # Neighbouring rows start elsewhere, else all of a family would meet the same few rows.
            offset = (row * 40503 + rank * 9973) % count
            for j in range(taken):
                place = begin + (offset + j * count // taken) % count
                if place >= gap:
                    place += skipped
                hits[n] = _pack_hit(seed, index.by_kmer[place], index)
                n += 1
            left -= taken
        bounds[i + 1] = n
    return hits[:n], bounds


@compiled
def _pack_hit(seed, other, index):
    """Return a hit as a number: 31 bits of the sequence, one of the strand, 32 of the diagonal."""
    owner, position = np.int64(index.rows[other]), np.int64(index.positions[other])
    reverse = np.int64(index.flipped[seed] != index.flipped[other])
    if reverse:
        # Counted from the other end, as the target is read on its other strand.
        position = index.starts[owner + 1] - index.starts[owner] - index.k - position
    return (owner << 33) | (reverse << 32) | (position - index.positions[seed] + DIAGONAL_OFFSET)


@compiled
def _occurrences(seed, row, group, index, sides):
    """Return how many places of a seed lie in a group of a sequence, and where in `by_kmer`.

    They begin at the second number and lie together but for a gap: the third number is where it
    begins, the fourth how long it is.
    """
    side = sides.of[row]
    first, last = sides.bounds[side], sides.bounds[side + 1]
    excluded, excluded_end = row, row + 1
    if group == OTHER_SIDES:
        excluded, excluded_end = (0, 0) if side == sides.test else (first, last)
        first, last = 0, sides.bounds[sides.test]
    kmer = index.kmer_ids[seed]
    begin = _lower_bound(first, kmer, index)
    gap, skipped = begin, 0
    if excluded < excluded_end:
        gap = _lower_bound(excluded, kmer, index)
        skipped = _lower_bound(excluded_end, kmer, index) - gap
    return _lower_bound(last, kmer, index) - begin - skipped, begin, gap, skipped


@compiled
def _lower_bound(row, kmer, index):
    """Return where in `by_kmer` the places of a k-mer in a sequence, or in later ones, begin."""
    low, high = index.kmer_bounds[kmer], index.kmer_bounds[kmer + 1]
    while low < high:
        middle = (low + high) // 2
        if index.rows[index.by_kmer[middle]] < row:
            low = middle + 1
        else:
            high = middle
    return low
