"""Ploidy of a panel's samples along a contig, call by call.

A sample may be haploid in a part of a contig, as a man is on chrX but for its pseudoautosomal
regions, and callers write haploid calls here and there. As in `bcftools consensus` a haploid call
says nothing of the second haplotype, which keeps the reference there and its other calls
elsewhere; so that nobody trains on a haplotype that is none, a window that begins in a haploid span
is read from the first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.vcf_record import Record

SPANS = "haploid.npy"  # int64[n, 3]: sample, first position, end; only in stores that have any
MISSING = frozenset("./|")
CONTIG_END = 1 << 40  # behind any base; a key is sample * CONTIG_END + position
NO_SPANS = np.empty((0, 3), dtype=np.int64)


class PloidyTracker:
    """Finds where samples are haploid, from the records of a contig in file order."""

    def __init__(self, samples: int) -> None:
        self._since = np.full(samples, -1, dtype=np.int64)  # where a haploid span began
        self._diploid = np.zeros(samples, dtype=bool)  # has had a diploid call
        self._haploid = np.zeros(samples, dtype=bool)
        self._spans: list[tuple[int, int, int]] = []
        self._calls = np.zeros(samples, dtype=np.int64)
        self._first = np.full(samples, -1, dtype=np.int64)  # POS of the first haploid call

    def add(self, record: Record) -> None:
        """Take in the calls of a record; one without any known allele says nothing."""
        is_open = (self._since >= 0).any()
        if not len(record.haploid) and not is_open and self._diploid.all():
            return
        position = min(max(record.position, 0), CONTIG_END - 1)
        known = np.ones(len(self._since), dtype=bool)
        for genotype, samples in record.genotypes.items():
            if MISSING.issuperset(genotype):
                known[samples] = False
        haploid = np.zeros_like(known)
        haploid[record.haploid] = True
        for sample in np.flatnonzero(haploid & (self._since < 0)).tolist():
            # Before its first call a sample is taken to be what that call is.
            seen = self._diploid[sample] or self._haploid[sample]
            self._since[sample] = position if seen else 0
        for sample in np.flatnonzero(~haploid & known & (self._since >= 0)).tolist():
            self._end(sample, position)
        self._calls += haploid
        self._first[haploid & (self._first < 0)] = record.position + 1
        self._haploid |= haploid
        self._diploid |= ~haploid & known

    def _end(self, sample: int, position: int) -> None:
        if position > self._since[sample]:
            self._spans.append((sample, int(self._since[sample]), position))
        self._since[sample] = -1

    def ploidies(self) -> NDArray[np.int64]:
        """Return how many haplotypes of each sample may be drawn: 1 where all calls are haploid."""
        return np.where(self._haploid & ~self._diploid, 1, 2)

    def spans(self) -> NDArray[np.int64]:
        """Return the haploid spans of the samples with two haplotypes, int64[n, 3], sorted."""
        still = [(s, int(self._since[s]), CONTIG_END) for s in np.flatnonzero(self._since >= 0)]
        both = self.ploidies() == 2
        kept = sorted(span for span in [*self._spans, *still] if both[span[0]])
        return np.array(kept, dtype=np.int64).reshape(-1, 3)

    def facts(self, samples: Sequence[str]) -> dict[str, Any]:
        """Return what was haploid, for the manifest: calls, and samples wholly and partly so."""
        mixed = np.flatnonzero(self._haploid & self._diploid)
        first = mixed[np.argsort(self._first[mixed], kind="stable")][:1].tolist()
        return {
            "calls": int(self._calls.sum()),
            "samples": int((self._haploid & ~self._diploid).sum()),
            "mixed_samples": len(mixed),
            "mixed_calls": int(self._calls[mixed].sum()),
            "first_mixed": [f"{samples[s]} at {self._first[s]}" for s in first],
        }


def write_spans(spans: NDArray[np.int64], folder: Path) -> None:
    """Write haploid spans into a store; nothing where there are none."""
    if len(spans):
        np.save(folder / SPANS, spans)


def read_spans(folder: Path) -> NDArray[np.int64]:
    """Return the haploid spans of a store, none for one without such a file."""
    return np.load(folder / SPANS) if (folder / SPANS).exists() else NO_SPANS


def first_where_haploid(
    haplotypes: NDArray[np.int64], positions: NDArray[np.int64], spans: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return `haplotypes`, with the first of a sample where it is haploid at its position."""
    if not len(spans):
        return haplotypes
    samples = haplotypes // 2
    # Spans are sorted and apart, so the last one that begins at or before a position decides.
    keys = spans[:, 0] * CONTIG_END + spans[:, 1]
    found = np.searchsorted(keys, samples * CONTIG_END + positions, side="right") - 1
    span = spans[np.maximum(found, 0)]
    inside = (found >= 0) & (span[:, 0] == samples) & (positions < span[:, 2])
    return np.where(inside, 2 * samples, haplotypes)
