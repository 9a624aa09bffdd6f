"""Which haplotypes carry a variant of a haplotype store, and which variants a haplotype carries.

Variants are numbered in the order of the store. Shapes: V variants, K blocks, H haplotypes.
"""

import numpy as np
from numpy.typing import NDArray

from dnalm.compiled import compiled
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.haplotypes.store import BLOCK_VARIANTS, ESCAPE_BYTE


def count_carriers(store: HaplotypeStore) -> NDArray[np.int64]:
    """Return how many haplotypes carry each variant, int64[V]."""
    variants, _, blocks, runs, carried = store.arrays
    counts = np.zeros(len(variants) - 1, dtype=np.int64)
    _count(blocks, runs, carried, counts)
    return counts


def find_carriers(store: HaplotypeStore, variants: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the haplotypes that carry each of some variants, each ascending."""
    _, _, blocks, runs, carried = store.arrays
    found = []
    for variant in variants.tolist():
        carries = np.zeros(runs.shape[1] - 1, dtype=np.bool_)
        _mark(blocks, runs, carried, variant, carries)
        found.append(np.flatnonzero(carries))
    return found


def list_variants(store: HaplotypeStore, haplotype: int, start: int, end: int) -> NDArray[np.int64]:
    """Return the variants of a haplotype that begin in `start` … `end`, the latter included.

    They are in the order in which they follow each other along the haplotype.
    """
    variants, _, blocks, runs, carried = store.arrays
    found = np.empty(0, dtype=np.int64)
    while True:
        number = _list(variants, blocks, runs, carried, haplotype, start, end, found)
        if number <= len(found):
            return found[:number]
        found = np.empty(number, dtype=np.int64)


@compiled
def _next(carried, at, number):
    """Return the place behind the code of a haplotype's next variant, and its number."""
    if carried[at] < ESCAPE_BYTE:
        return at + 1, number + carried[at] + 1
    return at + 3, np.int64(carried[at + 1]) | (np.int64(carried[at + 2]) << 8)


@compiled
def _count(blocks, runs, carried, counts):
    for block in range(len(blocks)):
        begin = np.int64(blocks[block, 3])
        for haplotype in range(runs.shape[1] - 1):
            at, end = begin + runs[block, haplotype], begin + runs[block, haplotype + 1]
            number = np.int64(-1)
            while at < end:
                at, number = _next(carried, at, number)
                counts[block * BLOCK_VARIANTS + number] += 1


@compiled
def _mark(blocks, runs, carried, variant, carries):
    block, wanted = variant // BLOCK_VARIANTS, variant % BLOCK_VARIANTS
    begin = np.int64(blocks[block, 3])
    for haplotype in range(len(carries)):
        at, end = begin + runs[block, haplotype], begin + runs[block, haplotype + 1]
        number = np.int64(-1)
        while at < end and number < wanted:
            at, number = _next(carried, at, number)
        carries[haplotype] = number == wanted


@compiled
def _list(variants, blocks, runs, carried, haplotype, start, end, found):
    """Fill `found` as far as it reaches, and return how many variants there are."""
    total = 0
    for block in range(len(blocks)):
        # A block holds no edit that begins before its first, nor behind where any has ended.
        if np.int64(blocks[block, 1]) < start or np.int64(blocks[block, 0]) > end:
            continue
        begin = np.int64(blocks[block, 3])
        at, stop = begin + runs[block, haplotype], begin + runs[block, haplotype + 1]
        number = np.int64(-1)
        while at < stop:
            at, number = _next(carried, at, number)
            variant = block * BLOCK_VARIANTS + number
            position = np.int64(variants[variant, 0])
            if start <= position <= end:
                if total < len(found):
                    found[total] = variant
                total += 1
    return total
