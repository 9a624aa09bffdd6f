"""What is stored of one contig, to compare records of variants with.

Coordinates are 0-based positions of the whole contig, half-open.
"""

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_codes


class ContigPieces:
    """The stored bases of one contig, piece by piece; all of them are held in memory."""

    def __init__(self, genome: GenomeBases, contig: str) -> None:
        """Read the contig; raise InputError when the genome has none of this name."""
        rows = genome.contigs[genome.contigs["contig"] == contig]
        if rows.empty:
            raise InputError(
                f"{genome.contigs_path}: there is no contig {contig}; correct the panel's "
                "`contigs`."
            )
        self._pieces = [
            (row.start, row.start + row.length, genome.read_at(row.offset, row.length))
            for row in rows.itertuples()
        ]

    def piece(self, start: int, end: int) -> tuple[int, int] | None:
        """Return where the piece that shares a base with `start` to `end` begins and ends."""
        for first, stop, _ in self._pieces:
            if start < stop and end > first:
                return first, stop
        return None

    def agrees(self, start: int, reference: str) -> bool:
        """Tell whether `reference` is what is stored from `start` on, as far as it is stored."""
        codes = to_codes(reference)
        for first, stop, bases in self._pieces:
            low, high = max(start, first), min(start + len(codes), stop)
            if low < high and not np.array_equal(
                bases[low - first : high - first], codes[low - start : high - start]
            ):
                return False
        return True
