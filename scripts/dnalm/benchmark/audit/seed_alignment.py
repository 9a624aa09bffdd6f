"""Seed-and-extend alignment of sequences that share minimizers: ungapped, then banded with gaps.

All compiled loops in one file: code that is kept on disk notices only changes of its own file.
Letters: n bases of the query, m of the target. On diagonal d base i of the query is aligned with
base i + d of the target, which is read on its other strand where it is `reverse`. An informative
column lies outside of tandem repeats of both. Shapes: R sequences, M of them compared, H hits.
"""

import numpy as np

from dnalm.benchmark.audit.seed_index import (
    DIAGONAL_OFFSET,
    NOT_COMPARED,
    OTHER_SIDES,
    OWN_SIDE,
)
from dnalm.compiled import compiled

MAX_SHIFT = 10  # bases that insertions and deletions may shift, in all: half the width of the band
# Bits of a base besides the two of its letter. N: its column says nothing. In a tandem repeat:
# other places hold the same.
UNKNOWN_BIT, REPEAT_BIT = 4, 8
INFORMATIVE_DIVISOR = 4  # a quarter of a short sequence has to agree outside of tandem repeats
# Columns are counted in the upper half of a number and matches in the lower: one sum for both.
ONE_MATCH, ONE_COLUMN = 1, 1 << 32
MATCH_MASK = (1 << 32) - 1
BLOCK_COLUMNS = 64  # compared before the mismatches are counted against their limit
# Near duplicates of a sequence in a group: more are sought neither by gaps nor by repeats ...
ENOUGH_NEAR_DUPLICATES = 8
MAX_NEAR_DUPLICATES = 64  # ... and more than these not at all
MAX_SEEDS_PER_SHARED = 20  # gaps are followed where one in so many seeds of the overlap is shared
MAX_RETRIES = 16  # pairs of a sequence with repeats that are looked at again: no diagonal agreed
MAX_SHARED_SEEDS = 256  # that are then looked at


@compiled
def extend_hits(
    rows, hits, bounds, sampled, near_counts, sequences, informative, index, sides, thresholds
):
    """Return the columns of the related pairs among those that have hits, each extended.

    `hits` [H] are sorted and those of `rows` [M] begin at `bounds` [M + 1]. `near_counts` [R, 3]
    holds the near duplicates of each sequence by comparison group and is added to. Where hits are
    `sampled`, a sequence with enough of them looks no further. Codes of `sequences` have the bit
    REPEAT_BIT; the known bases without it are `informative` [R]. Columns: both rows, overlap,
    identity and whether one is reversed.
    """
    codes, starts, known = sequences
    found, firsts, seconds = 0, np.empty(len(hits), np.int32), np.empty(len(hits), np.int32)
    overlaps, identities = np.empty(len(hits), np.int32), np.empty(len(hits), np.float32)
    flips = np.empty(len(hits), np.bool_)
    for number in range(len(rows)):
        row, retries, end = rows[number], 0, bounds[number]
        while end < bounds[number + 1]:
            # Hits of one pair on one strand lie together; their diagonals are the lower 32 bits.
            begin = end
            while end < bounds[number + 1] and hits[end] >> 32 == hits[begin] >> 32:
                end += 1
            other, reverse = hits[begin] >> 33, (hits[begin] >> 32) & 1 == 1
            mine, its = _group(row, other, sides), _group(other, row, sides)
            # A rare seed shows the pair to both: only if both have enough is it left out. A sample
            # of repeats was drawn for this row alone.
            near = (
                near_counts[row, mine]
                if sampled
                else min(near_counts[row, mine], near_counts[other, its])
            )
            shorter = min(known[row], known[other])
            missing = _min_informative(shorter, thresholds) - min(
                informative[row], informative[other]
            )
            if near >= (ENOUGH_NEAR_DUPLICATES if sampled else MAX_NEAR_DUPLICATES) or missing > 0:
                continue
            query = codes[starts[row] : starts[row + 1]]
            target = codes[starts[other] : starts[other + 1]]
            if reverse:
                target = _complement(target)
            # An alignment with gaps fills 21 cells a base: only where seeds lie as densely as in
            # related sequences, and for rows that have few near duplicates yet.
            min_density = (
                index.different[row] / len(query) / MAX_SEEDS_PER_SHARED
                if near < ENOUGH_NEAR_DUPLICATES
                else np.inf
            )
            diagonals = (hits[begin:end] & 0xFFFFFFFF) - DIAGONAL_OFFSET
            overlap, equal = _extend(query, target, diagonals, min_density, shorter, thresholds)
            few = near < ENOUGH_NEAR_DUPLICATES and retries < MAX_RETRIES
            if not overlap and few and index.repetitive[row]:
                # Repeats that were not followed hold the other diagonals of this pair.
                retries += 1
                diagonals = _shared_diagonals(row, other, reverse, index)
                overlap, equal = _extend(query, target, diagonals, min_density, shorter, thresholds)
            if not overlap:
                continue
            if overlap >= thresholds.near_share * shorter - 1e-9:
                near_counts[row, mine] += 1
                near_counts[other, its] += 1
            if found and firsts[found - 1] == row and seconds[found - 1] == other:
                # Both strands agree, as in a palindrome: the better one is kept.
                if equal <= identities[found - 1] * overlaps[found - 1]:
                    continue
                found -= 1
            firsts[found], seconds[found], flips[found] = row, other, reverse
            overlaps[found], identities[found] = overlap, equal / overlap
            found += 1
    pairs = firsts[:found].copy(), seconds[:found].copy(), overlaps[:found].copy()
    return pairs + (identities[:found].copy(), flips[:found].copy())  # noqa: RUF005


@compiled
def _group(row, other, sides):
    """Return in which comparison group of a sequence another one is."""
    if sides.of[row] == sides.of[other]:
        return OWN_SIDE
    return NOT_COMPARED if sides.of[other] == sides.test else OTHER_SIDES


@compiled
def _complement(codes):
    """Return the codes of the other strand."""
    other = np.empty(len(codes), np.uint8)
    for i in range(len(codes)):
        other[len(codes) - 1 - i] = codes[i] ^ 1  # codes of complements differ in the last bit
    return other


@compiled
def _shared_diagonals(row, other, reverse, index):
    """Return the sorted diagonals of the seeds that two sequences share and one has but once."""
    diagonals, n = np.empty(MAX_SHARED_SEEDS, np.int64), 0
    first, stop = index.seed_bounds[row], index.seed_bounds[row + 1]
    for there in range(index.seed_bounds[other], index.seed_bounds[other + 1]):
        kmer = index.kmer_ids[there]
        rank = _rank_of(kmer, first, stop, index)
        if rank == stop or index.kmer_ids[index.by_row[rank]] != kmer or n == MAX_SHARED_SEEDS:
            continue
        here, position = index.by_row[rank], np.int64(index.positions[there])
        opposite = index.flipped[here] != index.flipped[there]
        # A k-mer that stands twice in the query says nothing of which diagonal is meant.
        twice = rank + 1 < stop and index.kmer_ids[index.by_row[rank + 1]] == kmer
        if opposite != reverse or twice:
            continue
        if reverse:
            position = index.starts[other + 1] - index.starts[other] - index.k - position
        diagonal, i = position - index.positions[here], n
        while i and diagonals[i - 1] > diagonal:  # they nearly come in order
            diagonals[i] = diagonals[i - 1]
            i -= 1
        diagonals[i] = diagonal
        n += 1
    return diagonals[:n]


@compiled
def _rank_of(kmer, first, stop, index):
    """Return where in by_row[first:stop] the seeds of a k-mer, or of a later one, begin."""
    while first < stop:
        middle = (first + stop) // 2
        if index.kmer_ids[index.by_row[middle]] < kmer:
            first = middle + 1
        else:
            stop = middle
    return first


@compiled
def _extend(query, target, diagonals, min_density, shorter, thresholds):
    """Return columns and equal columns of the best of some diagonals, sorted; 0, 0 if none agrees.

    `shorter`: known bases of the shorter sequence. Where no diagonal agrees, one alignment with
    gaps is tried if there are `min_density` seeds or more for each base of the overlap.
    """
    best, best_equal = 0, 0
    for i in range(len(diagonals)):
        diagonal = diagonals[i]
        if i and diagonal == diagonals[i - 1]:
            continue
        first, stop = max(0, -diagonal), min(len(query), len(target) - diagonal)
        if stop - first > best_equal:  # a shorter overlap cannot hold more equal columns
            counts = _count_diagonal(query, target, first, stop, diagonal, thresholds.min_identity)
            columns, equal = _accept(counts, shorter, thresholds)
            if equal > best_equal:
                best, best_equal = columns, equal
    if not best and len(diagonals) > 1:
        diagonal, hits = _densest(diagonals)
        beside = min(len(query), len(target) - diagonal) - max(0, -diagonal)
        if hits and hits >= min_density * beside:
            best, best_equal = _accept(_align_banded(query, target, diagonal), shorter, thresholds)
    return best, best_equal


@compiled
def _min_informative(shorter, thresholds):
    """Return how many informative columns a pair needs: `min_overlap` or a quarter of it."""
    return min(thresholds.min_overlap, -(-shorter // INFORMATIVE_DIVISOR))


@compiled
def _accept(counts, shorter, thresholds):
    """Return columns and equal columns of an alignment that makes sequences related, else 0, 0.

    It does with an identity of `min_identity` over `min_overlap` columns, or over so many that the
    sequences are near duplicates; and again over `min_overlap` or, if that is less, a quarter of
    the shorter sequence in informative columns alone.
    """
    every, informative = counts
    columns, outside = every // ONE_COLUMN, informative // ONE_COLUMN
    # The small number in these comparisons takes back what rounding adds to a product of shares.
    near = int(np.ceil(thresholds.near_share * shorter - 1e-9))
    if columns < max(1, min(thresholds.min_overlap, near)) or outside < _min_informative(
        shorter, thresholds
    ):
        return 0, 0
    equal, outside_equal = every & MATCH_MASK, informative & MATCH_MASK
    if (
        min(
            equal - thresholds.min_identity * columns,
            outside_equal - thresholds.min_identity * outside,
        )
        < -1e-9
    ):
        return 0, 0
    return columns, equal


@compiled
def _densest(diagonals):
    """Return the middle of the most hits within MAX_SHIFT and how many.

    Several diagonals close by: something was inserted or deleted between their seeds; one alone:
    or between its last seed and an end.
    """
    most, middle, first = 0, 0, 0
    for last in range(len(diagonals)):
        while diagonals[last] - diagonals[first] > MAX_SHIFT:
            first += 1
        if last - first >= most:
            most, middle = last - first + 1, (diagonals[first] + diagonals[last]) // 2
    return middle, most


@compiled
def _count_column(mine, other):
    """Return what a column adds to the counts of all and of informative columns."""
    if (mine | other) & UNKNOWN_BIT:
        return 0, 0
    added = ONE_COLUMN if (mine ^ other) & 3 else ONE_COLUMN + ONE_MATCH
    return added, (0 if (mine | other) & REPEAT_BIT else added)


@compiled
def _count_diagonal(query, target, first, stop, diagonal, min_identity):
    """Return the counts of a diagonal, of all and of informative columns; 0, 0 below identity."""
    every, informative, wrong = 0, 0, 0
    allowed = int((1 - min_identity) * (stop - first) + 1e-9)
    # Diagonals of chance hits fail in their first blocks. The inner loop has no branch, so that the
    # compiler may use vector instructions.
    for block in range(first, stop, BLOCK_COLUMNS):
        for i in range(block, min(block + BLOCK_COLUMNS, stop)):
            mine, other = query[i], target[i + diagonal]
            wrong += ((mine ^ other) & 3 != 0) & ((mine | other) & UNKNOWN_BIT == 0)
        if wrong > allowed:
            return 0, 0
    for i in range(first, stop):
        added, outside = _count_column(query[i], target[i + diagonal])
        every += added
        informative += outside
    return every, informative


@compiled
def _align_banded(query, target, diagonal):
    """Return the same counts of the best banded alignment around a diagonal, end gaps free.

    Scores: a match 1, a mismatch −1, an inserted or deleted base −2; a column with an N 0.
    """
    width, n, m = 2 * MAX_SHIFT + 1, len(query), len(target)
    # Two rows of the band; the counts of the best path go along with its score, instead of a trace
    # back through n by `width` cells.
    scores = np.zeros((2, width), np.int64)
    every = np.zeros((2, width), np.int64)
    informative = np.zeros((2, width), np.int64)
    best, best_counts = 0, (0, 0)
    for i in range(n + 1):
        now, before = i & 1, (i & 1) ^ 1
        for o in range(width):
            j = i + diagonal + o - MAX_SHIFT
            if j < 0 or j > m:
                scores[now, o] = -(1 << 30)
                continue
            if i == 0 or j == 0:  # where either sequence begins, an alignment may begin
                scores[now, o], every[now, o], informative[now, o] = 0, 0, 0
                continue
            mine = query[i - 1]
            other = target[j - 1]
            added, outside = _count_column(mine, other)
            # In band coordinates the diagonal predecessor stands at the same offset, the row above.
            score = scores[before, o] + (2 * (added & 1) - 1 if added else 0)
            source, above = before, o
            if o > 0 and scores[now, o - 1] - 2 > score:
                score, source, above = scores[now, o - 1] - 2, now, o - 1
                added, outside = _count_column(other, other ^ 1)  # a gap is a column of a mismatch
            if o + 1 < width and scores[before, o + 1] - 2 > score:
                score, source, above = scores[before, o + 1] - 2, before, o + 1
                added, outside = _count_column(mine, mine ^ 1)
            scores[now, o] = score
            every[now, o] = every[source, above] + added
            informative[now, o] = informative[source, above] + outside
            # The alignment ends where either sequence does.
            if (i == n or j == m) and score > best:
                best, best_counts = score, (every[now, o], informative[now, o])
    return best_counts
