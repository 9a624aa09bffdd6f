"""The haplotype store: files with the variants of every haplotype of a contig.

A variant is an edit of the reference: `length` bases from `position` on (0-based, of the contig)
are replaced by some letters. Overlaps are settled before, so the edits that one haplotype carries
follow each other. Variants are numbered in the order of the file and cut into blocks of
`BLOCK_VARIANTS`; within a block each haplotype has a run of bytes: the gaps between the numbers of
its variants, one byte each, or an escape byte and the number in two. Rare variants cost nothing to
the haplotypes without them. No source: our choice.

Files of a store (V variants, K blocks, H haplotypes), all memory-mapped:

    variants.npy      uint32[V + 1, 3]   position, length, where its letters begin in alternatives
    alternatives.npy  uint8[...]         codes of the letters of all variants
    blocks.npy        uint64[K, 4]       position of the first edit, furthest end of an edit up to
                                         here, longest edit, where the bytes begin in carried
    runs.npy          uint32[K, H + 1]   where each haplotype's bytes begin, from the block's on
    carried.npy       uint8[...]         the runs
    haploid.npy       int64[n, 3]        where samples of two haplotypes are haploid, see `ploidy`;
                                         only if there is such a place
    samples.tsv       sample, haplotype and how many variants it carries, by type
    manifest.json     what was read and what was left out
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.compiled import compiled
from dnalm.genome.arrays import ArrayWriter

BLOCK_VARIANTS = 2048  # a number in a block fits two bytes; a window reads one or two blocks
# No gap: the variant's number in its block follows in two bytes, the low one first.
ESCAPE_BYTE = 255
VARIANTS, ALTERNATIVES, BLOCKS = "variants.npy", "alternatives.npy", "blocks.npy"
RUNS, CARRIED, SAMPLES, MANIFEST = "runs.npy", "carried.npy", "samples.tsv", "manifest.json"
ARRAYS = (VARIANTS, ALTERNATIVES, BLOCKS, RUNS, CARRIED)


class StoreWriter:
    """Writes the arrays of a haplotype store into an existing folder; memory holds one block.

    Use it as a context manager; the arrays are complete when it ends. `variants` and `alleles`
    count what was added, an allele being one variant on one haplotype.
    """

    def __init__(self, folder: Path, haplotypes: int) -> None:
        self.variants = self.alleles = 0
        self._haplotypes = haplotypes
        self._stack = ExitStack()
        self._files = {
            name: self._stack.enter_context(ArrayWriter(folder / name, kind, columns))
            for name, kind, columns in (
                (VARIANTS, np.uint32, 3),
                (ALTERNATIVES, np.uint8, None),
                (BLOCKS, np.uint64, 4),
                (RUNS, np.uint32, haplotypes + 1),
                (CARRIED, np.uint8, None),
            )
        }
        self._reach = 0
        self._edits: list[tuple[int, int, int]] = []
        self._letters: list[NDArray[np.uint8]] = []
        self._carriers: list[NDArray[np.int64]] = []
        self._stored_letters = self._waiting_letters = 0

    def __enter__(self) -> "StoreWriter":
        return self

    def add(
        self, position: int, length: int, letters: NDArray[np.uint8], carriers: NDArray[np.int64]
    ) -> None:
        """Add a variant and the haplotypes, int64[n], that carry it."""
        begin = self._stored_letters + self._waiting_letters
        self._edits.append((position, length, begin))
        self._letters.append(letters)
        self._waiting_letters += len(letters)
        self._carriers.append(carriers)
        self._reach = max(self._reach, position + length)
        self.variants += 1
        self.alleles += len(carriers)
        if len(self._edits) == BLOCK_VARIANTS:
            self._write_block()

    def _write_block(self) -> None:
        numbers = np.repeat(
            np.arange(len(self._carriers), dtype=np.int64), [len(c) for c in self._carriers]
        )
        runs, carried = _pack(np.concatenate(self._carriers), numbers, self._haplotypes)
        edits = np.array(self._edits, dtype=np.uint64)
        self._files[VARIANTS].write(edits)
        self._files[ALTERNATIVES].write(np.concatenate(self._letters))
        # Not the first edit's position: an anchor left out moves one a base behind the next.
        block = (edits[:, 0].min(), self._reach, edits[:, 1].max(), self._files[CARRIED].rows)
        self._files[BLOCKS].write(np.array([block], dtype=np.uint64))
        self._files[RUNS].write(runs[None, :])
        self._files[CARRIED].write(carried)
        self._stored_letters += self._waiting_letters
        self._waiting_letters = 0
        self._edits.clear()
        self._letters.clear()
        self._carriers.clear()

    def __exit__(self, *failure: Any) -> None:
        if failure[0] is None:
            if self._edits:
                self._write_block()
            # One more row, so that the letters of every variant end where the next begin.
            self._files[VARIANTS].write(np.array([[0, 0, self._stored_letters]], dtype=np.uint32))
        self._stack.__exit__(*failure)


@compiled
def _pack(carriers, numbers, haplotypes):
    """Return the gap-encoded runs of a block: uint32[H + 1] where each begins, uint8[...] bytes.

    Variant `numbers[i]` of the block is carried by haplotype `carriers[i]`; numbers ascend.
    """
    # Counting sort by haplotype: one pass for the sizes, a running sum, one pass that writes.
    begins = np.zeros(haplotypes + 1, np.uint32)
    last = np.full(haplotypes, -1, np.int64)  # so that a gap of 0 is the very next variant
    for i in range(len(carriers)):
        haplotype = carriers[i]
        distance = numbers[i] - last[haplotype] - 1
        begins[haplotype + 1] += 1 if distance < ESCAPE_BYTE else 3
        last[haplotype] = numbers[i]
    for haplotype in range(haplotypes):
        begins[haplotype + 1] += begins[haplotype]
    carried = np.empty(begins[haplotypes], np.uint8)
    # A running sum turned sizes into begins; each end moves as its haplotype's bytes are written.
    ends = begins[:-1].copy()
    last[:] = -1
    for i in range(len(carriers)):
        haplotype, number = carriers[i], numbers[i]
        distance = number - last[haplotype] - 1
        end = ends[haplotype]
        if distance < ESCAPE_BYTE:
            carried[end] = distance
            ends[haplotype] += 1
        else:
            carried[end] = ESCAPE_BYTE
            carried[end + 1] = number & 255
            carried[end + 2] = number >> 8
            ends[haplotype] += 3
        last[haplotype] = number
    return begins, carried
