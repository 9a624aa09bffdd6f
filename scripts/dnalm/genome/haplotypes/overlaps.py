"""Overlap resolution: which of the overlapping records of a haplotype are applied, greedily.

From left to right, as `bcftools consensus` 1.24 does by experiment: a record is applied if it
begins behind the last base of the record applied before; an indel with an anchor base may begin at
that base, unless the record before made the sequence longer. Positions are 0-based.
"""

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.haplotypes.alleles import Edit, is_anchored_indel, make_edit
from dnalm.genome.vcf_record import Record


class OverlapFilter:
    """Resolves overlaps of records in file order; its state is the last base applied so far."""

    def __init__(self, haplotypes: int) -> None:
        self._last_base = np.full(haplotypes, -1, dtype=np.int64)
        self._after_insertion = np.zeros(haplotypes, dtype=bool)

    def apply(
        self, record: Record, sequence: str, haplotypes: NDArray[np.int64], stop: int | None
    ) -> tuple[Edit, NDArray[np.int64]]:
        """Return the edit of an allele, and those of `haplotypes` on which nothing overlaps it.

        `sequence` takes the place of REF, or is empty for a symbolic deletion up to the record's
        end. `stop` is where the stored sequence ends, None for a record outside of it.
        """
        position, reference = record.position, record.reference
        if stop is not None and position + len(reference) > stop:
            # As bcftools does at the end of a contig, where no allele may reach beyond REF.
            reference = reference[: stop - position]
            sequence = sequence[: len(reference)]
        # An anchored indel occupies its anchor base too, though the edit leaves it out.
        length, anchored = len(reference), is_anchored_indel(reference, sequence)
        edit = make_edit(position, reference, sequence)
        if not sequence:  # <DEL>: the base at POS stays, the rest up to END goes
            length = max(min(record.end, stop or record.end) - position, 1)
            edit, anchored = Edit(position + 1, length - 1, ""), True
        free = self._last_base[haplotypes] < position
        if anchored:
            free |= (self._last_base[haplotypes] == position) & ~self._after_insertion[haplotypes]
        applied = haplotypes[free]
        self._last_base[applied] = position + length - 1
        self._after_insertion[applied] = len(edit.sequence) > edit.length
        return edit, applied
