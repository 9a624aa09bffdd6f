"""Sequences laid over each other where they share seeds: the loops behind `likeness`.

All in one file: code that is kept on disk notices only changes of its own file.
Letters: n bases of one sequence, m of the other. On diagonal d base i of the one lies beside base
i + d of the other, which is read on its other strand when it is `turned`. A telling column lies
outside of tandem repeats of both. Shapes: R sequences, M of them compared, H hits.
"""

import numpy as np

from dnalm.benchmark.audit.seed_index import MIDDLE, OTHERS, OWN, UNASKED
from dnalm.compiled import compiled

BAND = 10  # bases that insertions and deletions may shift, in all
# Bits of a base beside its two of the letter. N: its column says nothing. In a tandem repeat: other
# places hold the same.
UNKNOWN, REPEATED = 4, 8
TELLING_SHARE = 4  # a quarter of a short sequence has to agree outside of tandem repeats
EQUAL, COLUMN = 1, 1 << 32  # what a column adds to a count
COUNTS = (1 << 32) - 1
BLOCK = 64  # columns that are compared before it is asked whether too many disagree
ENOUGH = 8  # near duplicates of a sequence in a circle: more are sought neither by gaps nor repeats
PLENTY = 64  # more of them are not looked at
SPARSE = 20  # gaps are followed where one in so many seeds beside the other sequence is shared
TRIES = 16  # pairs of a sequence with repeats that are looked at again because no diagonal agrees
MOST_SHARED = 256  # seeds that are then looked at


@compiled
def compare(rows, hits, limits, sampled, near, sequences, telling, index, sides, rules):
    """Return the columns of the pairs that are alike among those that have hits.

    `hits` [H] are sorted and those of `rows` [M] begin at `limits` [M + 1]. `near` [R, 3] counts
    the near duplicates of each sequence by its circles and is added to. Where hits are `sampled`,
    a sequence with enough of them looks no further. Codes of `sequences` have the bit REPEATED; the
    known bases without it are `telling` [R].
    """
    codes, starts, known = sequences
    found, firsts, seconds = 0, np.empty(len(hits), np.int32), np.empty(len(hits), np.int32)
    overlaps, identities = np.empty(len(hits), np.int32), np.empty(len(hits), np.float32)
    flips = np.empty(len(hits), np.bool_)
    for number in range(len(rows)):
        row, tries, end = rows[number], 0, limits[number]
        own = index.numbers[index.limits[row] : index.limits[row + 1]]
        repeats, ranked = not index.followed[own].all(), np.argsort(own)
        own = own[ranked]
        different = len(own) - (own[1:] == own[:-1]).sum()
        while end < limits[number + 1]:
            begin = end
            while end < limits[number + 1] and hits[end] >> 32 == hits[begin] >> 32:
                end += 1
            other, turned = hits[begin] >> 33, (hits[begin] >> 32) & 1 == 1
            mine, its = _circle(row, other, sides), _circle(other, row, sides)
            there = near[row, mine] if sampled else min(near[row, mine], near[other, its])
            shorter = min(known[row], known[other])
            short_of = _least_telling(shorter, rules) - min(telling[row], telling[other])
            if there >= (ENOUGH if sampled else PLENTY) or short_of > 0:
                continue
            one = codes[starts[row] : starts[row + 1]]
            two = codes[starts[other] : starts[other + 1]]
            if turned:
                two = two[::-1] ^ np.uint8(1)  # codes of complements differ in the last bit
            least_hits = different / len(one) / SPARSE if there < ENOUGH else np.inf
            diagonals = (hits[begin:end] & 0xFFFFFFFF) - MIDDLE
            overlap, equal = _best(one, two, diagonals, least_hits, shorter, rules)
            if not overlap and there < ENOUGH and repeats and tries < TRIES:
                tries += 1
                diagonals = _shared(row, other, turned, own, ranked, index)
                overlap, equal = _best(one, two, diagonals, least_hits, shorter, rules)
            if not overlap:
                continue
            if overlap >= rules.near_share * shorter - 1e-9:
                near[row, mine] += 1
                near[other, its] += 1
            if found and firsts[found - 1] == row and seconds[found - 1] == other:
                # Alike on both strands: the better one is kept.
                if equal <= identities[found - 1] * overlaps[found - 1]:
                    continue
                found -= 1
            firsts[found], seconds[found], flips[found] = row, other, turned
            overlaps[found], identities[found] = overlap, equal / overlap
            found += 1
    pairs = firsts[:found].copy(), seconds[:found].copy(), overlaps[:found].copy()
    return pairs + (identities[:found].copy(), flips[:found].copy())  # noqa: RUF005


@compiled
def _circle(row, other, sides):
    """Return in which circle of a sequence another one is."""
    if sides.of[row] == sides.of[other]:
        return OWN
    return UNASKED if sides.of[other] == sides.test else OTHERS


@compiled
def _shared(row, other, turned, own, ranked, index):
    """Return the sorted diagonals of the seeds that two sequences share and one has but once.

    `own` are the numbers of this one's seeds in order, `ranked` where each of them stands in it.
    """
    diagonals, n = np.empty(MOST_SHARED, np.int64), 0
    for there in range(index.limits[other], index.limits[other + 1]):
        number = index.numbers[there]
        rank = np.searchsorted(own, number)
        if rank == len(own) or own[rank] != number or n == MOST_SHARED:
            continue
        here, place = index.limits[row] + ranked[rank], np.int64(index.places[there])
        turns = index.flipped[here] != index.flipped[there]
        if turns != turned or (rank + 1 < len(own) and own[rank + 1] == number):
            continue
        if turned:
            place = index.starts[other + 1] - index.starts[other] - index.k - place
        diagonals[n] = place - index.places[here]
        n += 1
    diagonals = diagonals[:n]
    diagonals.sort()
    return diagonals


@compiled
def _best(one, two, diagonals, least_hits, shorter, rules):
    """Return columns and equal columns of the best of some diagonals, sorted; 0, 0 if none agrees.

    `shorter`: known bases of the shorter sequence. Where no diagonal agrees, one alignment with
    gaps is tried if there are `least_hits` or more for each base beside the other sequence.
    """
    best, best_equal = 0, 0
    for i in range(len(diagonals)):
        diagonal = diagonals[i]
        if i and diagonal == diagonals[i - 1]:
            continue
        first, stop = max(0, -diagonal), min(len(one), len(two) - diagonal)
        if stop - first > best_equal:
            counts = _agree(one, two, first, stop, diagonal, rules.min_identity)
            columns, equal = _alike(counts, shorter, rules)
            if equal > best_equal:
                best, best_equal = columns, equal
    if not best and len(diagonals) and diagonals[-1] > diagonals[0]:
        diagonal, most = _densest(diagonals)
        beside = min(len(one), len(two) - diagonal) - max(0, -diagonal)
        if most and most >= least_hits * beside:
            best, best_equal = _alike(_align(one, two, diagonal), shorter, rules)
    return best, best_equal


@compiled
def _least_telling(shorter, rules):
    return min(rules.min_overlap, -(-shorter // TELLING_SHARE))


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
    if columns < max(1, min(rules.min_overlap, near)) or told < _least_telling(shorter, rules):
        return 0, 0
    equal, told_equal = every & COUNTS, telling & COUNTS
    if min(equal - rules.min_identity * columns, told_equal - rules.min_identity * told) < -1e-9:
        return 0, 0
    return columns, equal


@compiled
def _densest(diagonals):
    """Return the middle of the most hits within BAND and how many these are; 0 on one diagonal.

    Several diagonals close by: something was inserted or deleted between their seeds.
    """
    most, middle, first = 0, 0, 0
    for last in range(len(diagonals)):
        while diagonals[last] - diagonals[first] > BAND:
            first += 1
        if last - first >= most and diagonals[last] > diagonals[first]:
            most, middle = last - first + 1, (diagonals[first] + diagonals[last]) // 2
    return middle, most


@compiled
def _count(mine, other):
    """Return what a column adds to the counts of all and of telling columns."""
    if (mine | other) & UNKNOWN:
        return 0, 0
    added = COLUMN if (mine ^ other) & 3 else COLUMN + EQUAL
    return added, (0 if (mine | other) & REPEATED else added)


@compiled
def _agree(one, two, first, stop, diagonal, min_identity):
    """Return the counts of a diagonal, of all and of telling columns; 0, 0 below the identity."""
    every, telling, wrong = 0, 0, 0
    allowed = int((1 - min_identity) * (stop - first) + 1e-9)
    for block in range(first, stop, BLOCK):
        for i in range(block, min(block + BLOCK, stop)):
            mine, other = one[i], two[i + diagonal]
            wrong += ((mine ^ other) & 3 != 0) & ((mine | other) & UNKNOWN == 0)
        if wrong > allowed:
            return 0, 0
    for i in range(first, stop):
        added, told = _count(one[i], two[i + diagonal])
        every += added
        telling += told
    return every, telling


@compiled
def _align(one, two, diagonal):
    """Return the same counts of the best alignment near a diagonal, end gaps free.

    A column that agrees gives 1, one that does not takes 1, an inserted or deleted base 2; one with
    an N gives and takes nothing.
    """
    width, n, m = 2 * BAND + 1, len(one), len(two)
    scores = np.zeros((2, width), np.int64)
    every = np.zeros((2, width), np.int64)
    telling = np.zeros((2, width), np.int64)
    best, best_counts = 0, (0, 0)
    for i in range(n + 1):
        now, before = i & 1, (i & 1) ^ 1
        for o in range(width):
            j = i + diagonal + o - BAND
            if j < 0 or j > m:
                scores[now, o] = -(1 << 30)
                continue
            if i == 0 or j == 0:
                scores[now, o], every[now, o], telling[now, o] = 0, 0, 0
                continue
            mine = one[i - 1]
            other = two[j - 1]
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
