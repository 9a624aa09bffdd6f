"""Which of the records that overlap a haplotype gets: from left to right, as they find room.

The rule is that of `bcftools consensus` 1.24, found by trying: a record finds room behind the last
base that the one before has used; an insertion or deletion behind a first base that it shares with
REF may begin at that base, unless the record before made the sequence longer. Positions are
0-based.
"""

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.haplotypes.alleles import Edit, is_anchored, make_edit
from dnalm.genome.vcf import Record


class Overlaps:
    """Applies the records of one contig in file order; its state is the last base used so far."""

    def __init__(self, haplotypes: int) -> None:
        self._used = np.full(haplotypes, -1, dtype=np.int64)
        self._lengthened = np.zeros(haplotypes, dtype=bool)

    def apply(
        self, record: Record, sequence: str, haplotypes: NDArray[np.int64], stop: int | None
    ) -> tuple[Edit, NDArray[np.int64]]:
        """Return the edit that an allele is, and those of `haplotypes` where it finds room.

        `sequence` takes the place of REF, or is empty for a symbolic deletion up to the record's
        end. `stop` is where the stored sequence ends, None for a record outside of it.
        """
        position, reference = record.position, record.reference
        if stop is not None and position + len(reference) > stop:
            # As bcftools does at the end of a contig, where no allele may reach beyond REF.
            reference = reference[: stop - position]
            sequence = sequence[: len(reference)]
        length, anchored = len(reference), is_anchored(reference, sequence)
        edit = make_edit(position, reference, sequence)
        if not sequence:
            length = max(min(record.end, stop or record.end) - position, 1)
            edit, anchored = Edit(position + 1, length - 1, ""), True
        room = self._used[haplotypes] < position
        if anchored:
            room |= (self._used[haplotypes] == position) & ~self._lengthened[haplotypes]
        applied = haplotypes[room]
        self._used[applied] = position + length - 1
        self._lengthened[applied] = len(edit.sequence) > edit.length
        return edit, applied
