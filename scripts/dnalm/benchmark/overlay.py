"""Sequences laid over each other where they share seeds: the loops behind `likeness`.

They stand in one file: code that is kept on disk notices only changes of its own file.

Letters: n bases of one sequence, m of the other. On diagonal d base i of the one lies beside base
i + d of the other, which is read on its other strand when it is `turned`. A hit is a diagonal where
both hold the same seed. A telling column lies outside of tandem repeats of both. Shapes: R
sequences, S seeds, K different seeds.
"""

from typing import NamedTuple

import numpy as np

from dnalm.compiled import compiled

BAND = 10  # bases that insertions and deletions may shift, in all
# Bits of a base beside its two of the letter. N: its column says nothing. In a tandem repeat: other
# places hold the same.
UNKNOWN, REPEATED = 4, 8
TELLING_SHARE = 4  # a quarter of a short sequence has to agree outside of tandem repeats
MIDDLE = 1 << 31
NOWHERE = 1 << 40
EQUAL, COLUMN = 1, 1 << 32  # what a column adds to a count
COUNTS = (1 << 32) - 1


class Rules(NamedTuple):
    """Which pairs are alike, as in LikenessConfig."""

    min_identity: float
    min_overlap: int
    near_share: float


class Index(NamedTuple):
    """The seeds of all sequences, and where else each one is."""

    rows: np.ndarray  # [S], as in Seeds
    places: np.ndarray  # [S]
    flipped: np.ndarray  # [S]
    limits: np.ndarray  # [R + 1], the seeds of each sequence
    numbers: np.ndarray  # [S], the number of each seed among the different ones
    order: np.ndarray  # [S], seeds by their numbers
    begins: np.ndarray  # [K + 1], of each number in `order`
    followed: np.ndarray  # bool [K]
    most_places: int


@compiled
def compare(start, stop, codes, starts, known, index, k, rules):
    """Return the columns of the pairs whose first sequence is in start ... stop − 1."""
    size, found = 1024, 0
    firsts, seconds = np.empty(size, np.int32), np.empty(size, np.int32)
    overlaps, identities = np.empty(size, np.int32), np.empty(size, np.float32)
    flips = np.empty(size, np.bool_)
    for row in range(start, stop):
        hits = _hits(row, starts, index, k)
        if not len(hits):
            hits = _rarest_hits(row, starts, index, k)
        end = 0
        while end < len(hits):
            begin = end
            while end < len(hits) and hits[end] >> 32 == hits[begin] >> 32:
                end += 1
            other, turned = hits[begin] >> 33, (hits[begin] >> 32) & 1 == 1
            one = codes[starts[row] : starts[row + 1]]
            two = codes[starts[other] : starts[other + 1]]
            diagonals = (hits[begin:end] & 0xFFFFFFFF) - MIDDLE
            shorter = min(known[row], known[other])
            overlap, equal = _best(one, two, turned, diagonals, shorter, rules)
            if not overlap:
                continue
            if found and firsts[found - 1] == row and seconds[found - 1] == other:
                # Alike on both strands: the better one is kept.
                if equal <= identities[found - 1] * overlaps[found - 1]:
                    continue
                found -= 1
            if found == size:
                size *= 2
                firsts, seconds, flips = _grow(firsts), _grow(seconds), _grow(flips)
                overlaps, identities = _grow(overlaps), _grow(identities)
            firsts[found], seconds[found], flips[found] = row, other, turned
            overlaps[found], identities[found] = overlap, equal / overlap
            found += 1
    return firsts[:found], seconds[:found], overlaps[:found], identities[:found], flips[:found]


@compiled
def _grow(array):
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _hits(row, starts, index, k):
    """Return where later sequences share seeds with one, sorted: sequence, strand, diagonal."""
    begins, total = index.begins, 0
    first, last = index.limits[row], index.limits[row + 1]
    for number in index.numbers[first:last]:
        if index.followed[number]:
            total += begins[number + 1] - begins[number]
    hits, n = np.empty(total, np.int64), 0
    for seed in range(first, last):
        number = index.numbers[seed]
        if not index.followed[number]:
            continue
        for other in index.order[begins[number] : begins[number + 1]]:
            owner = np.int64(index.rows[other])
            if owner <= row:
                continue
            hits[n] = _hit(seed, other, owner, starts, index, k)
            n += 1
    hits = hits[:n]
    hits.sort()
    return hits


@compiled
def _rarest_hits(row, starts, index, k):
    """Return the same of the rarest repeat of a sequence, of earlier sequences as well, bounded.

    Variants of one sequence, or windows shifted by single bases, share nothing but repeats.
    """
    begins, rarest, fewest = index.begins, -1, 0
    for seed in range(index.limits[row], index.limits[row + 1]):
        number = index.numbers[seed]
        count = begins[number + 1] - begins[number]
        if not index.followed[number] and (rarest < 0 or count < fewest):
            rarest, fewest = seed, count
    if rarest < 0:
        return np.empty(0, np.int64)
    first = begins[index.numbers[rarest]]
    hits, n = np.empty(index.most_places, np.int64), 0
    for other in index.order[first : first + index.most_places]:
        owner = np.int64(index.rows[other])
        if owner != row:
            hits[n] = _hit(rarest, other, owner, starts, index, k)
            n += 1
    hits = hits[:n]
    hits.sort()
    return hits


@compiled
def _hit(seed, other, owner, starts, index, k):
    """Return a hit as a number: 31 bits of the sequence, one of the strand, 32 of the diagonal."""
    place = np.int64(index.places[other])
    turned = np.int64(index.flipped[seed] != index.flipped[other])
    if turned:
        place = starts[owner + 1] - starts[owner] - k - place
    return (owner << 33) | (turned << 32) | (place - index.places[seed] + MIDDLE)


@compiled
def _best(one, two, turned, diagonals, shorter, rules):
    """Return columns and equal columns of the best of some diagonals, sorted; 0, 0 if none agrees.

    `shorter`: known bases of the shorter sequence. Where no diagonal agrees, one alignment with
    gaps is tried.
    """
    best, best_equal = 0, 0
    for i in range(len(diagonals)):
        diagonal = diagonals[i]
        if i and diagonal == diagonals[i - 1]:
            continue
        first, stop = max(0, -diagonal), min(len(one), len(two) - diagonal)
        if stop - first > best_equal:
            counts = _agree(one, two, turned, first, stop, diagonal, rules.min_identity)
            columns, equal = _alike(counts, shorter, rules)
            if equal > best_equal:
                best, best_equal = columns, equal
    if not best and diagonals[-1] > diagonals[0]:
        diagonal = _densest(diagonals)
        if diagonal != NOWHERE:
            best, best_equal = _alike(_align(one, two, turned, diagonal), shorter, rules)
    return best, best_equal


@compiled
def _alike(counts, shorter, rules):
    """Return columns and equal columns if they make sequences alike, else 0, 0.

    They do with an identity of `min_identity` over `min_overlap` columns, or over so many that the
    sequences are near duplicates; and again over `min_overlap` or, if that is less, a quarter of
    the shorter sequence in telling columns alone.
    """
    every, telling = counts
    columns, told = every // COLUMN, telling // COLUMN
    near = int(np.ceil(rules.near_share * shorter - 1e-9))
    if columns < max(1, min(rules.min_overlap, near)):
        return 0, 0
    if told < min(rules.min_overlap, -(-shorter // TELLING_SHARE)):
        return 0, 0
    equal, told_equal = every & COUNTS, telling & COUNTS
    if min(equal - rules.min_identity * columns, told_equal - rules.min_identity * told) < -1e-9:
        return 0, 0
    return columns, equal


@compiled
def _densest(diagonals):
    """Return the middle of the most hits within BAND; NOWHERE if they lie on one diagonal.

    Several diagonals close by: something was inserted or deleted between their seeds.
    """
    most, middle, first = 0, NOWHERE, 0
    for last in range(len(diagonals)):
        while diagonals[last] - diagonals[first] > BAND:
            first += 1
        if last - first > most and diagonals[last] > diagonals[first]:
            most, middle = last - first, (diagonals[first] + diagonals[last]) // 2
    return middle


@compiled
def _count(mine, other):
    """Return what a column adds to the counts of all and of telling columns."""
    if (mine | other) & UNKNOWN:
        return 0, 0
    added = COLUMN if (mine ^ other) & 3 else COLUMN + EQUAL
    return added, (0 if (mine | other) & REPEATED else added)


@compiled
def _agree(one, two, turned, first, stop, diagonal, min_identity):
    """Return the counts of a diagonal, of all and of telling columns; 0, 0 below the identity."""
    every, telling, wrong = 0, 0, 0
    allowed = int((1 - min_identity) * (stop - first) + 1e-9)
    end = len(two) - 1
    for i in range(first, stop):
        other = two[end - i - diagonal] ^ 1 if turned else two[i + diagonal]
        added, told = _count(one[i], other)
        every += added
        telling += told
        wrong += added == COLUMN
        if wrong > allowed:
            return 0, 0
    return every, telling


@compiled
def _align(one, two, turned, diagonal):
    """Return the same counts of the best alignment near a diagonal, end gaps free.

    A column that agrees gives 1, one that does not takes 1, an inserted or deleted base 2; one with
    an N gives and takes nothing.
    """
    width, n, m = 2 * BAND + 1, len(one), len(two)
    lowest = -(1 << 30)
    scores = np.zeros((2, width), np.int64)
    every = np.zeros((2, width), np.int64)
    telling = np.zeros((2, width), np.int64)
    best, best_counts = 0, (0, 0)
    for i in range(n + 1):
        now, before = i & 1, (i & 1) ^ 1
        for o in range(width):
            j = i + diagonal + o - BAND
            if j < 0 or j > m:
                scores[now, o] = lowest
                continue
            if i == 0 or j == 0:
                scores[now, o], every[now, o], telling[now, o] = 0, 0, 0
                continue
            mine = one[i - 1]
            other = two[m - j] ^ 1 if turned else two[j - 1]
            added, told = _count(mine, other)
            score = scores[before, o] + (2 * (added & 1) - 1 if added else 0)
            source, above = before, o
            if o > 0 and scores[now, o - 1] - 2 > score:
                score, source, above = scores[now, o - 1] - 2, now, o - 1
                added, told = _count(other, other ^ 1)
            if o + 1 < width and scores[before, o + 1] - 2 > score:
                score, source, above = scores[before, o + 1] - 2, before, o + 1
                added, told = _count(mine, mine ^ 1)
            scores[now, o] = score
            every[now, o] = every[source, above] + added
            telling[now, o] = telling[source, above] + told
            if (i == n or j == m) and score > best:
                best, best_counts = score, (every[now, o], telling[now, o])
    return best_counts
