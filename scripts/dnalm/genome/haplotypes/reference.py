"""Reference bases of one contig, to check the REF alleles of variants against.

Coordinates are 0-based positions of the whole contig, half-open.
"""

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_codes


class ReferenceContig:
    """The reference bases `first` to `stop` of a contig in memory: all of it, or one piece."""

    def __init__(self, genome: GenomeBases, contig: str) -> None:
        """Read the contig.

        Raises InputError when the genome has none of this name, or several pieces of it: a record
        that reaches over two of them is in neither.
        """
        rows = genome.contigs[genome.contigs["contig"] == contig]
        if len(rows) != 1:
            found = f"{len(rows)} pieces of" if len(rows) else "no"
            raise InputError(
                f"{genome.contigs_path}: there is {found} contig {contig}, haplotypes are made of "
                "one; correct the panel's `contigs` or the genome's records."
            )
        (row,) = rows.itertuples()
        self.first, self.stop = row.start, row.start + row.length
        self._bases = genome.read_at(row.offset, row.length)

    def overlaps(self, start: int, end: int) -> bool:
        """Return whether the interval `start` to `end` overlaps the stored bases."""
        return start < self.stop and end > self.first

    def matches(self, start: int, reference: str) -> bool:
        """Return whether a REF allele at `start` equals the bases, as far as they are stored."""
        codes = to_codes(reference)
        low, high = max(start, self.first), min(start + len(codes), self.stop)
        return low >= high or np.array_equal(
            self._bases[low - self.first : high - self.first], codes[low - start : high - start]
        )
