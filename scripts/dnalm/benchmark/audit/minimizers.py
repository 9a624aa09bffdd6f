"""Minimizers of sequences: of every `window` neighbouring k-mers the one with the least hash.

Minimizers (Roberts et al. 2004), selected as in winnowing (Schleimer et al. 2003), the same on
either strand: two sequences that share k + window − 1 bases in a row share a minimizer, however
little of the sequences that is. A MinHash of whole sequences would miss most windows that overlap
by a fifth, because the Jaccard index of their k-mer sets is about a tenth.

Shapes: n bases of all sequences, one after the other, R sequences, S minimizers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnalm.compiled import compiled
from dnalm.genome.kmers import to_codes

INVALID_KMER = np.uint64(2**64 - 1)  # a k-mer with an N, and its hash: greater than all others


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
class Minimizers:
    """The minimizers of R sequences, sequence by sequence."""

    kmers: np.ndarray  # uint64 [S], canonical (the smaller of both strands), two bits a base
    rows: np.ndarray  # int32 [S], the sequence of each
    positions: np.ndarray  # int32 [S], 0-based first base in its sequence, ascending in a row
    flipped: np.ndarray  # bool [S], whether the reverse complement is the smaller one


@compiled
def count_known(codes, starts):
    """Return how many codes of each sequence are those of a known base, int64 [R]."""
    known = np.zeros(len(starts) - 1, dtype=np.int64)
    for row in range(len(known)):
        for code in codes[starts[row] : starts[row + 1]]:
            known[row] += code < 4
    return known


def find_minimizers(sequences: Sequences, k: int, window: int) -> Minimizers:
    """Return the minimizers of sequences: the least hash of every `window` neighbouring k-mers.

    `k` is odd, so that no k-mer equals its own reverse complement, and 31 at most. A sequence with
    fewer k-mers than `window` keeps the least of all it has; k-mers with an N are never kept. Of
    equal k-mers in one window all are kept.
    """
    longest = int(np.diff(sequences.starts).max(initial=0))
    kept = _select(sequences.codes, sequences.starts, k, window, longest)
    kmers, rows, positions, flipped = _collect(sequences.codes, sequences.starts, k, kept)
    return Minimizers(kmers=kmers, rows=rows, positions=positions, flipped=flipped)


@compiled
def _mix(value):
    """Return 64 well mixed bits, a bijection (one step of splitmix64)."""
    # Ordered as numbers, poly-A would be the least k-mer wherever it stands: low complexity would
    # be sampled most, and bases with a small code more than others.
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _fill_kmers(codes, start, stop, k, forward, backward):
    """Fill in the k-mers of codes[start:stop] and their reverse complements."""
    mask = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1)
    top = np.uint64(2 * (k - 1))
    kmer, complement, known = np.uint64(0), np.uint64(0), 0
    for i in range(start, stop):
        code = codes[i]
        # Counted since the last N: k known bases in a row make a k-mer.
        known = 0 if code > 3 else known + 1
        code = np.uint64(code & 3)
        # A base comes in at the right of one strand and at the left of the other.
        kmer = ((kmer << np.uint64(2)) | code) & mask
        # Complements differ in the last bit of a code (A T C G = 0 1 2 3).
        complement = (complement >> np.uint64(2)) | ((code ^ np.uint64(1)) << top)
        position = i - start - k + 1
        if position >= 0:
            forward[position] = kmer if known >= k else INVALID_KMER
            backward[position] = complement if known >= k else INVALID_KMER


@compiled
def _select(codes, starts, k, window, longest):
    """Return a bool [n]: whether the k-mer that begins at each base is a minimizer."""
    kept = np.zeros(len(codes), dtype=np.bool_)
    forward = np.empty(longest, dtype=np.uint64)
    backward = np.empty(longest, dtype=np.uint64)
    hashes = np.empty(longest, dtype=np.uint64)
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        count = stop - start - k + 1
        if count < 1:
            continue
        _fill_kmers(codes, start, stop, k, forward, backward)
        for i in range(count):
            # The canonical k-mer is hashed: both strands of a sequence keep the same ones.
            canonical = min(forward[i], backward[i])
            hashes[i] = INVALID_KMER if canonical == INVALID_KMER else _mix(canonical)
        size = min(window, count)
        least, last = INVALID_KMER, -1
        for end in range(size, count + 1):
            first = end - size
            if last < first:  # the least one left the window, or none was seen yet
                least = INVALID_KMER
                for i in range(first, end):
                    if hashes[i] <= least:  # of equal ones the last stays longest in the window
                        least, last = hashes[i], i
                fresh = first
            else:
                fresh = end - 1  # earlier ones of this window have been marked before
                if hashes[end - 1] <= least:
                    least, last = hashes[end - 1], end - 1
            if least != INVALID_KMER:
                for i in range(fresh, end):
                    if hashes[i] == least:
                        kept[start + i] = True
    return kept


@compiled
def _collect(codes, starts, k, kept):
    """Return the kept k-mers with their rows, positions and strands."""
    # K-mers are computed again instead of kept for all bases: eight bytes each, twice.
    total = kept.sum()
    kmers = np.empty(total, dtype=np.uint64)
    rows = np.empty(total, dtype=np.int32)
    positions = np.empty(total, dtype=np.int32)
    flipped = np.empty(total, dtype=np.bool_)
    longest = 0
    for row in range(len(starts) - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    forward = np.empty(longest, dtype=np.uint64)
    backward = np.empty(longest, dtype=np.uint64)
    n = 0
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        _fill_kmers(codes, start, stop, k, forward, backward)
        for i in range(stop - start - k + 1):
            if kept[start + i]:
                flipped[n] = backward[i] < forward[i]
                kmers[n] = min(forward[i], backward[i])
                rows[n], positions[n] = row, i
                n += 1
    return kmers, rows, positions, flipped
