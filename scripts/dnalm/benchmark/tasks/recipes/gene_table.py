"""SpliceAI's table of genes: a line for each, with its exon borders.

Eight columns between tabs, without a header: name, paralog (0 none, 1 one or more), contig, strand,
start and end of the transcript, last bases of exons before an intron, first bases of exons behind
one; the last two are lists with commas. Coordinates are 1-based, both ends included.
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dnalm.errors import InputError
from dnalm.genome.annotation import COORDINATE, lines

COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One gene; coordinates as in the table, `place` is its file and line.

    `joined` counts introns of no bases, at which two exons of the table are one, `overlapping`
    introns that begin before the one before them ends, whose sites are labelled like others.
    """

    name: str
    paralog: bool
    contig: str
    strand: str
    start: int
    end: int
    exon_ends: tuple[int, ...]
    exon_starts: tuple[int, ...]
    place: str
    joined: int = 0
    overlapping: int = 0

    @property
    def bases(self) -> int:
        """The length of the transcript in the genome, introns included."""
        return self.end - self.start + 1

    def offsets(self, positions: Iterable[int]) -> list[int]:
        """Return positions within the transcript as 0-based offsets on its own strand."""
        inside = (place for place in positions if self.start <= place <= self.end)
        return [p - self.start if self.strand == "+" else self.end - p for p in inside]

    @property
    def donors(self) -> list[int]:
        """The offsets of last bases of exons, in the direction of the transcript."""
        return self.offsets(self.exon_ends if self.strand == "+" else self.exon_starts)

    @property
    def acceptors(self) -> list[int]:
        """The offsets of first bases of exons, in the direction of the transcript."""
        return self.offsets(self.exon_starts if self.strand == "+" else self.exon_ends)

    @property
    def outside(self) -> int:
        """How many exon borders of the table lie outside of the transcript and are no site."""
        return sum(
            not self.start <= place <= self.end for place in (*self.exon_ends, *self.exon_starts)
        )


def read_genes(path: str | Path) -> list[Gene]:
    """Return the genes of a table, plain or gzip; exons without a base between them are one.

    Raises InputError, with file and line, for a line that is none of such a table.
    """
    genes = [_gene(f"{path}:{number}", line.split("\t")) for number, line in lines(path)]
    if not genes:
        raise InputError(f"{path} names no gene: give a table as SpliceAI's canonical_dataset.txt.")
    return genes


def _gene(place: str, cells: list[str]) -> Gene:
    if len(cells) != COLUMNS:
        raise InputError(
            f"{place}: a line of a table of genes has {COLUMNS} cells between tabs, this one has "
            f"{len(cells)}: correct the line."
        )
    name, paralog, contig, strand, *numbers = cells
    if paralog not in ("0", "1") or strand not in ("+", "-"):
        raise InputError(
            f"{place}: the paralog flag is {paralog!r} and the strand {strand!r}, and 0 or 1 and + "
            "or - are allowed: correct the line."
        )
    start, end, exon_ends, exon_starts = (_numbers(place, text) for text in numbers)
    if len(start) != 1 or len(end) != 1 or not 1 <= start[0] <= end[0]:
        raise InputError(
            f"{place}: the transcript is from {numbers[0]!r} to {numbers[1]!r}, and two positions "
            "from 1 on, the first not behind the second, are expected: correct the line."
        )
    if len(exon_ends) != len(exon_starts):
        raise InputError(
            f"{place}: gene {name}: {len(exon_ends)} ends and {len(exon_starts)} starts of exons "
            f"(columns {COLUMNS - 1} and {COLUMNS}), and each intron has one of both: correct the "
            "line."
        )
    for last, first in zip(exon_ends, exon_starts, strict=True):
        if last >= first:
            raise InputError(
                f"{place}: gene {name}: the intron behind base {last} ends before base {first}:"
                " ends of exons are the seventh column, starts the eighth; correct the line."
            )
    introns = list(zip(exon_ends, exon_starts, strict=True))
    # Where an exon begins right behind another nothing is spliced.
    kept = [(last, first) for last, first in introns if first > last + 1]
    return Gene(
        name=name,
        paralog=paralog == "1",
        contig=contig,
        strand=strand,
        start=start[0],
        end=end[0],
        exon_ends=tuple(last for last, _ in kept),
        exon_starts=tuple(first for _, first in kept),
        place=place,
        joined=len(introns) - len(kept),
        overlapping=sum(map(operator.gt, exon_starts, exon_ends[1:])),
    )


def _numbers(place: str, text: str) -> tuple[int, ...]:
    parts = [part for part in text.strip().split(",") if part]
    if wrong := [part for part in parts if not COORDINATE.fullmatch(part)]:
        raise InputError(f"{place}: {wrong[0][:40]!r} is no position: correct the line.")
    return tuple(map(int, parts))
