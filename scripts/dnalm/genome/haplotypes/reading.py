"""Haplotype sequences of windows, made on the fly from the reference and a haplotype store.

Shapes: B windows, n bases. Coordinates are 0-based positions of the contig. Haplotype 2 · s + i is
haplotype i (0 or 1) of sample s.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnalm.compiled import compiled
from dnalm.errors import InputError
from dnalm.files import read_json, read_tsv
from dnalm.genome.haplotypes.ploidy import first_where_haploid, read_spans
from dnalm.genome.haplotypes.store import (
    ALTERNATIVES,
    BLOCK_VARIANTS,
    BLOCKS,
    CARRIED,
    ESCAPE_BYTE,
    MANIFEST,
    RUNS,
    SAMPLES,
    VARIANTS,
)
from dnalm.genome.kmers import N


class HaplotypeStore:
    """The haplotypes of one contig; its arrays are memory-mapped, so that processes share them.

    `manifest` is the content of the store's manifest.json, `samples` are the names in their order,
    `ploidies` int64[samples] the numbers of haplotypes of each: 1 or 2. `arrays` are those of
    `store`, from variants to carried.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        try:
            self.manifest = read_json(folder / MANIFEST)
            arrays = [
                np.load(folder / name, mmap_mode="r")
                for name in (VARIANTS, ALTERNATIVES, BLOCKS, RUNS, CARRIED)
            ]
            self._haploid = read_spans(folder)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}; make the haplotypes again.") from None
        # Plain views of the mapped memory: numba compiles one version for them.
        views = (np.frombuffer(array, array.dtype).reshape(array.shape) for array in arrays)
        self.arrays: tuple[NDArray, ...] = tuple(views)
        table = read_tsv(folder / SAMPLES, ["sample"], dtype={"sample": str}, keep_default_na=False)
        counts = table["sample"].value_counts(sort=False)
        self.samples = counts.index.tolist()
        self.ploidies = counts.to_numpy(dtype=np.int64)

    def choose(self, draws: NDArray[np.float64], draw: str) -> NDArray[np.int64]:
        """Return the haplotypes int64[B] drawn by pairs of uniform numbers, float64[B, 2].

        All are in [0, 1). The first of a pair draws a sample, the second one of its haplotypes;
        `draw` may fix the haplotype, `first` or `second`. A haploid sample has its first only; one
        that is haploid in places is left to `settle`.
        """
        samples = (draws[:, 0] * len(self.samples)).astype(np.int64)
        ploidies = self.ploidies[samples]
        sides = {
            "random": (draws[:, 1] * ploidies).astype(np.int64),
            "first": np.zeros_like(samples),
            "second": ploidies - 1,
        }[draw]
        return 2 * samples + sides

    def settle(self, haplotypes: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return drawn haplotypes, with a sample's first where it is haploid at the start."""
        return first_where_haploid(haplotypes, starts, self._haploid)

    def count_haplotypes(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many haplotypes there are at each position, int64[n]."""
        begun = np.searchsorted(np.sort(self._haploid[:, 1]), positions, side="right")
        ended = np.searchsorted(np.sort(self._haploid[:, 2]), positions, side="right")
        return self.ploidies.sum() - begun + ended

    def list_haplotypes(self, position: int) -> NDArray[np.int64]:
        """Return the haplotypes that there are at a position, ascending."""
        every = np.arange(2 * len(self.samples), dtype=np.int64)
        real = every[every % 2 < self.ploidies[every // 2]]
        return real[self.settle(real, np.full(len(real), position)) == real]

    def read(
        self,
        reference: NDArray[np.uint8],
        first: int,
        haplotypes: NDArray[np.int64],
        starts: NDArray[np.int64],
        length: int,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return `length` bases of each haplotype from the reference position `starts` on.

        `reference` uint8[n] holds the codes of the contig from position `first` on. Returns codes
        uint8[B, length] and how many of them there are, int64[B]: less than `length` where the
        contig ends, and N behind that. Where a start lies inside of what an edit replaces, the
        window begins as far into the new letters, or behind them.
        """
        codes = np.empty((len(starts), length), dtype=np.uint8)
        lengths = np.empty(len(starts), dtype=np.int64)
        _fill(codes, lengths, reference, first, haplotypes, starts, *self.arrays)
        return codes, lengths


@compiled
def _find_first(variants, block, position):
    """Return the number of a variant in its block before which all begin at `position` or earlier.

    A binary search: edits are sorted but for anchor bases that were left out, which put them one
    base further on.
    """
    first = block * BLOCK_VARIANTS
    low, high = first, min(first + BLOCK_VARIANTS, len(variants) - 1)
    while low < high:
        middle = (low + high) // 2
        if np.int64(variants[middle, 0]) < position:
            low = middle + 1
        else:
            high = middle
    return low - first


@compiled
def _copy(source, source_begin, target, target_begin, count):
    # Views first: with indexes from 0 the compiler turns the loop into a memcpy.
    read = source[source_begin : source_begin + count]
    written = target[target_begin : target_begin + count]
    for i in range(count):
        written[i] = read[i]


@compiled
def _fill(
    codes, lengths, reference, first, haplotypes, starts, variants, letters, blocks, runs, carried
):
    length = codes.shape[1]
    stop = first + len(reference)
    for row in range(len(starts)):
        haplotype, start = haplotypes[row], starts[row]
        position, done = start, 0  # next base of the reference, bases of the window
        # The first block with an edit that ends behind the start, by binary search: the column
        # holds a running maximum, which is sorted though ends of edits are not.
        low, high = 0, len(blocks)
        while low < high:
            middle = (low + high) // 2
            if np.int64(blocks[middle, 1]) > start:
                high = middle
            else:
                low = middle + 1
        block = low
        while block < len(blocks) and np.int64(blocks[block, 0]) < position + length - done:
            begin = np.int64(blocks[block, 3])
            # By the block's longest edit: what begins before this has ended at the start. One base
            # more, because anchors that were left out disturb the order by one.
            first_number = _find_first(variants, block, start - np.int64(blocks[block, 2]) - 1)
            # The haplotype's variants in this block: decode gaps until the window is full.
            at, end = begin + runs[block, haplotype], begin + runs[block, haplotype + 1]
            number = np.int64(-1)  # a gap of 0 is the very next variant
            full = False
            while at < end:
                if carried[at] < ESCAPE_BYTE:
                    number += carried[at] + 1
                    at += 1
                else:
                    number = np.int64(carried[at + 1]) | (np.int64(carried[at + 2]) << 8)
                    at += 3
                if number < first_number:
                    continue
                variant = block * BLOCK_VARIANTS + number
                edit = np.int64(variants[variant, 0])
                edit_end = edit + np.int64(variants[variant, 1])
                if edit_end <= start:
                    continue  # as an insertion right before the first base of the window
                letter = np.int64(variants[variant, 2])
                letters_end = np.int64(variants[variant + 1, 2])
                if edit < start:
                    # The window starts inside of the edit: as far into the new letters.
                    letter = min(letter + start - edit, letters_end)
                else:
                    # The reference between the edit before and this one.
                    kept = min(edit - position, length - done)
                    _copy(reference, position - first, codes[row], done, kept)
                    done += kept
                    if done == length:
                        full = True
                        break
                kept = min(letters_end - letter, length - done)
                _copy(letters, letter, codes[row], done, kept)
                done += kept
                position = edit_end
            if full:
                break
            block += 1
        # Behind the last edit the reference, to the end of the window or of the contig.
        kept = max(0, min(stop - position, length - done))
        _copy(reference, position - first, codes[row], done, kept)
        done += kept
        lengths[row] = done
        codes[row, done:] = N
