"""Sequences to predict, row by row: FASTA, CSV, TSV or Parquet files, BED files and a genome."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnalm.benchmark.tasks.row_files import read_columns, read_labelled, refuse_folder
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.intervals import Interval, iterate_bed
from dnalm.genome.kmers import reverse_complement, to_sequence

FIRST_WORD = r"^\s*(\S*)"  # of a FASTA header
ID_COLUMN = "id"
BREAK = re.compile(r"[\t\r\n]")
# What a row of a BED file has beside its id; start and end are 0-based and half-open.
INTERVAL_COLUMNS = ("contig", "start", "end", "name", "strand")
REVERSE = "-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A sequence as it was read: its id, and where it stands, for messages.

    `columns` are those of `INTERVAL_COLUMNS`, of files of sequences none.
    """

    id: str
    sequence: "str | StoredSequence"
    place: str
    columns: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StoredSequence:
    """Bases of a genome from an `offset` into its store on, read when a slice is asked for.

    An interval may be a whole chromosome: what is too long is never read as one. Those that are
    `reverse` are the reverse complement.
    """

    genome: GenomeBases
    offset: int
    length: int
    reverse: bool

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> str:
        start, end, _ = part.indices(self.length)
        size = max(0, end - start)
        first = self.length - end if self.reverse else start
        codes = self.genome.read_at(self.offset + first, size)
        return to_sequence(reverse_complement(codes) if self.reverse else codes)


@dataclass(frozen=True, kw_only=True)
class SequenceFile:
    """Rows of a FASTA, CSV, TSV or Parquet file, plain or gzip.

    `format` is one of them or auto. A FASTA record is named by the first word of its header, a row
    of a table by `id_column`; where that is None by the column `id`, else by its number.
    """

    path: str | Path
    format: str
    sequence_column: str
    id_column: str | None

    columns = ()
    unique = True  # whether an id names one row

    def rows(self) -> Iterator[Row]:
        """Yield the rows; raise InputError as `read_labelled` does, and for a row without an id."""
        try:
            yield from self._read()
        except InputError as error:
            # The readers are those of tasks, and so are their words.
            raise InputError(str(error).replace("of the task", "of the prediction")) from error

    def _read(self) -> Iterator[Row]:
        header = read_columns(self.path, self.format)
        named = self.id_column or (ID_COLUMN if ID_COLUMN in header else None)
        if named and header and named not in header:
            raise InputError(
                f"{self.path} has no column {named!r}, its columns are "
                f"{', '.join(map(repr, header))[:200]}: set `id_column` of the task."
            )
        fields = _Fields(
            format=self.format,
            sequence_column=self.sequence_column,
            label_column=named or "",
            label_pattern=FIRST_WORD,
        )
        numbered = bool(header) and named is None
        # An id is read as a label is.
        rows = read_labelled(self.path, "", fields, "" if numbered else None)
        for number, row in enumerate(rows, start=1):
            name = str(number) if numbered else row.label
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"{row.place} has no id: give it one, or leave the row out.")
            if BREAK.search(name.strip()):
                raise InputError(
                    f"{row.place} has the id {name.strip()!r:.60} with a tab or a line end, which"
                    " parts cells and rows of the table of predictions: give it another."
                )
            yield Row(id=name.strip(), sequence=row.sequence, place=row.place, columns={})


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """What `read_labelled` asks of a file's columns."""

    format: str
    sequence_column: str
    label_column: str
    label_pattern: str


@dataclass(frozen=True, kw_only=True)
class GenomeIntervals:
    """Rows cut from a stored genome at the intervals of a BED file, plain or gzip.

    With `window` they are so many bases around the middle of each interval. Those on the strand -
    are the reverse complement; `start` and `end` are those of the window. An id is
    contig:start-end(strand) of the interval.
    """

    path: str | Path
    genome: GenomeBases
    window: int | None

    columns = INTERVAL_COLUMNS
    unique = False

    def rows(self) -> Iterator[Row]:
        """Yield the rows; InputError names the line that is no interval, or not in the genome."""
        refuse_folder(self.path)
        for number, interval, _ in iterate_bed(self.path):
            start, end = self._place(interval)
            try:
                offset = self.genome.locate(interval.contig, max(start, 0), max(end, 0))
                if start < 0:
                    raise InputError(f"the window begins {-start} bases before the contig.")
            except InputError as error:
                raise InputError(
                    f"{self.path}:{number}: {interval.contig}:{start}-{end} cannot be read: {error}"
                ) from error
            sequence = StoredSequence(
                genome=self.genome,
                offset=offset,
                length=end - start,
                reverse=interval.strand == REVERSE,
            )
            span = f"{interval.contig}:{interval.start}-{interval.end}"
            yield Row(
                id=f"{span}({interval.strand})",
                sequence=sequence,
                place=f"{self.path}:{number}",
                columns={
                    "contig": interval.contig,
                    "start": start,
                    "end": end,
                    "name": interval.name,
                    "strand": interval.strand,
                },
            )

    def _place(self, interval: Interval) -> tuple[int, int]:
        if self.window is None:
            return interval.start, interval.end
        start = (interval.start + interval.end - self.window) // 2
        return start, start + self.window


Source = SequenceFile | GenomeIntervals
