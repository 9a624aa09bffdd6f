"""Windows of personal haplotypes around a base of the reference, which lies at a place of choice.

Insertions and deletions to the left of the base shift it in what `HaplotypeStore.read` gives, so
that the left part is put together from its right end. Coordinates are 0-based. Shapes: n bases.
"""

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.haplotypes.carriers import list_variants
from dnalm.genome.haplotypes.reading import HaplotypeStore


def read_around(
    store: HaplotypeStore,
    reference: NDArray[np.uint8],
    first: int,
    haplotype: int,
    position: int,
    left: int,
    length: int,
) -> NDArray[np.uint8] | None:
    """Return `length` bases of a haplotype, `left` of them before the base at `position`.

    `reference` uint8[n] holds the codes of the contig from `first` on. No edit of the haplotype
    but one of the base itself may touch that base. None where the contig ends before the window.
    """
    before = _read_before(store, reference, first, haplotype, position, left)
    if before is None:
        return None
    chosen, places = np.array([haplotype]), np.array([position])
    behind, found = store.read(reference, first, chosen, places, length - left)
    if found[0] < length - left:
        return None
    return np.concatenate([before, behind[0]])


def _read_before(
    store: HaplotypeStore,
    reference: NDArray[np.uint8],
    first: int,
    haplotype: int,
    position: int,
    bases: int,
) -> NDArray[np.uint8] | None:
    """Return the last bases of a haplotype before a position."""
    variants, letters, blocks = store.arrays[:3]
    longest, span = int(blocks[:, 2].max(initial=0)), bases
    while True:
        # Deletions make the bases of a haplotype reach further back in the reference.
        start = max(first, position - span)
        edits = list_variants(store, haplotype, start - longest, position)
        parts: list[NDArray[np.uint8]] = []
        end = position  # of the reference that is not in `parts` yet
        for edit in edits[::-1].tolist():
            place, replaced = (int(number) for number in variants[edit, :2])
            if place + replaced > position:
                continue  # that of the base itself
            if place < start:  # where it ends is the first base that is known
                start = max(start, place + replaced)
                break
            parts.append(reference[place + replaced - first : end - first])
            parts.append(letters[int(variants[edit, 2]) : int(variants[edit + 1, 2])])
            end = place
        parts.append(reference[start - first : end - first])
        found = np.concatenate(parts[::-1])
        if len(found) >= bases:
            return found[len(found) - bases :]
        if position - span <= first:
            return None
        span *= 2
