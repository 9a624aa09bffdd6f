"""Least hashes of short stretches: which k-mers of a sequence stand for it when it is compared.

Of every `window` neighbouring k-mers the one with the least hash is kept (winnowing), the same on
either strand. So two sequences that share k + window − 1 bases in a row share a kept k-mer, however
short the shared part is beside the sequences: a MinHash of whole sequences would miss most windows
that overlap by a fifth, whose k-mer sets are alike to a tenth only.

Shapes: n bases of all sequences, one after the other, R sequences, S seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnalm.compiled import compiled
from dnalm.genome.kmers import to_codes

UNKNOWN = np.uint64(2**64 - 1)  # the hash of a k-mer with an N


class Sequences(NamedTuple):
    """R sequences as codes in one array."""

    codes: np.ndarray  # uint8 [n], A T C G N = 0 .. 4
    starts: np.ndarray  # int64 [R + 1], of each sequence in `codes`
    known: np.ndarray  # int64 [R], bases of each sequence that are no N

    @classmethod
    def of(cls, sequences: Sequence[str]) -> "Sequences":
        """Return the codes of sequences in either case."""
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        codes = to_codes("".join(sequences))
        return cls(codes=codes, starts=starts, known=count_known(codes, starts))


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The kept k-mers of R sequences, sequence by sequence."""

    kmers: np.ndarray  # uint64 [S], the smaller of a k-mer and its reverse complement, as 2k bits
    rows: np.ndarray  # int32 [S]
    places: np.ndarray  # int32 [S], first base in its sequence, ascending in a row
    flipped: np.ndarray  # bool [S], whether the reverse complement is the smaller one


@compiled
def count_known(codes, starts):
    """Return how many codes of each sequence are those of a known base."""
    known = np.zeros(len(starts) - 1, dtype=np.int64)
    for row in range(len(known)):
        for code in codes[starts[row] : starts[row + 1]]:
            known[row] += code < 4
    return known


def find_seeds(sequences: Sequences, k: int, window: int) -> Seeds:
    """Return the k-mers with the least hash of every `window` neighbouring ones.

    `k` is odd, so that no k-mer equals its own reverse complement. A sequence with fewer k-mers
    keeps the least of all it has; k-mers with an N are never kept. Of equal k-mers in one window
    all are kept.
    """
    longest = int(np.diff(sequences.starts).max(initial=0))
    kept = _mark(sequences.codes, sequences.starts, k, window, longest)
    kmers, rows, places, flipped = _read(sequences.codes, sequences.starts, k, kept)
    return Seeds(kmers=kmers, rows=rows, places=places, flipped=flipped)


@compiled
def _mix(value):
    """Return 64 well mixed bits, a bijection (splitmix64); AAA... is not to have the least hash."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _both(codes, start, stop, k, forward, backward):
    """Fill in the k-mers of codes[start:stop] and their reverse complements; UNKNOWN with an N.

    Complements differ in the last bit of a code (A T C G = 0 1 2 3).
    """
    mask = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1)
    top = np.uint64(2 * (k - 1))
    one, other, known = np.uint64(0), np.uint64(0), 0
    for i in range(start, stop):
        code = codes[i]
        known = 0 if code > 3 else known + 1
        code = np.uint64(code & 3)
        one = ((one << np.uint64(2)) | code) & mask
        other = (other >> np.uint64(2)) | ((code ^ np.uint64(1)) << top)
        place = i - start - k + 1
        if place >= 0:
            forward[place] = one if known >= k else UNKNOWN
            backward[place] = other if known >= k else UNKNOWN


@compiled
def _mark(codes, starts, k, window, longest):
    """Return a bool [n]: whether the k-mer that begins at each base is kept."""
    kept = np.zeros(len(codes), dtype=np.bool_)
    forward = np.empty(longest, dtype=np.uint64)
    backward = np.empty(longest, dtype=np.uint64)
    hashes = np.empty(longest, dtype=np.uint64)
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        count = stop - start - k + 1
        if count < 1:
            continue
        _both(codes, start, stop, k, forward, backward)
        for i in range(count):
            least = min(forward[i], backward[i])
            hashes[i] = UNKNOWN if least == UNKNOWN else _mix(least)
        size = min(window, count)
        least, last = UNKNOWN, -1
        for end in range(size, count + 1):
            first = end - size
            if last < first:  # the least one left the window, or none was seen yet
                least = UNKNOWN
                for i in range(first, end):
                    if hashes[i] <= least:
                        least, last = hashes[i], i
                fresh = first
            else:
                fresh = end - 1
                if hashes[end - 1] <= least:
                    least, last = hashes[end - 1], end - 1
            if least != UNKNOWN:
                for i in range(fresh, end):
                    if hashes[i] == least:
                        kept[start + i] = True
    return kept


@compiled
def _read(codes, starts, k, kept):
    """Return the kept k-mers with their rows, places and strands."""
    total = kept.sum()
    kmers = np.empty(total, dtype=np.uint64)
    rows = np.empty(total, dtype=np.int32)
    places = np.empty(total, dtype=np.int32)
    flipped = np.empty(total, dtype=np.bool_)
    longest = 0
    for row in range(len(starts) - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    forward = np.empty(longest, dtype=np.uint64)
    backward = np.empty(longest, dtype=np.uint64)
    n = 0
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        _both(codes, start, stop, k, forward, backward)
        for i in range(stop - start - k + 1):
            if kept[start + i]:
                flipped[n] = backward[i] < forward[i]
                kmers[n] = min(forward[i], backward[i])
                rows[n], places[n] = row, i
                n += 1
    return kmers, rows, places, flipped
