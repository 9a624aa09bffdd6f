"""Genomic intervals: BED and narrowPeak files, and tables of the same columns with a header.

All coordinates are 0-based and half-open.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.annotation import COORDINATE, lines, span, write_text
from dnalm.suggestions import listing, nearest_first

STRANDS = ("+", "-", ".")
HEADER_COLUMNS = ({"start", "end"}, {"chromstart", "chromend"}, {"chrom_start", "chrom_end"})
NAME_COLUMN, STRAND_COLUMN = 4, 6  # columns of a BED file, from 1
# Columns that hold end - start + 1 where a table counts from 1: of R's GRanges and of MACS.
LENGTH_COLUMNS = ("width", "length")
# What a short BED line may lack.
OPTIONAL_COLUMNS = (("name", NAME_COLUMN), ("strand", STRAND_COLUMN))
NO_SUMMIT = -1

Spans = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One BED record, 0-based half-open; strand is '+', '-' or '.'."""

    contig: str
    start: int
    end: int
    name: str
    strand: str


def read_bed(
    path: str | Path,
    *,
    name: int | str | None = NAME_COLUMN,
    strand: int | str | None = STRAND_COLUMN,
    summit: int | str | None = None,
) -> pd.DataFrame:
    """Return the intervals of a BED file in file order: contig, start, end, name, strand, summit.

    `name`, `strand` and `summit` say which column holds them, by its number from 1 or by its name
    in the file's header, which may begin with #; None: none does. The lines of a BED file may all
    end before their name (then "") or their strand (then "."). `summit` is an offset from the start
    as in narrowPeak files, -1 where there is none.

    Raises InputError with file and line for anything else, for a header with another column of
    that name, a strand in a line that ends before the column of strands, lines of which only some
    have a column that is read, a table that counts from 1 by its column of lengths, and a file
    without records.
    """
    starts, ends, summits = array("q"), array("q"), array("q")
    contigs: list[str] = []
    names: list[str] = []
    strands: list[str] = []
    kept: dict[str, str] = {}  # one object of equal texts: files repeat contigs and types
    for _, interval, summit_at in iterate_bed(path, name=name, strand=strand, summit=summit):
        starts.append(interval.start)
        ends.append(interval.end)
        contigs.append(kept.setdefault(interval.contig, interval.contig))
        names.append(kept.setdefault(interval.name, interval.name))
        strands.append(kept.setdefault(interval.strand, interval.strand))
        summits.append(summit_at)
    return pd.DataFrame(
        {
            "contig": pd.Series(contigs, dtype=object),
            "start": np.asarray(starts, dtype=np.int64),
            "end": np.asarray(ends, dtype=np.int64),
            "name": pd.Series(names, dtype=object),
            "strand": pd.Series(strands, dtype=object),
            "summit": np.asarray(summits, dtype=np.int64),
        }
    )


def iterate_bed(
    path: str | Path,
    *,
    name: int | str | None = NAME_COLUMN,
    strand: int | str | None = STRAND_COLUMN,
    summit: int | str | None = None,
) -> Iterator[tuple[int, Interval, int]]:
    """Yield (line number, interval, summit) of a BED file, one in memory; as of `read_bed`."""
    wanted = {"name": name, "strand": strand, "summit": summit}
    places: dict[str, int | None] | None = None
    commented: list[str] = []  # a header that is a comment
    length: int | None = None
    first: tuple[int, list[str]] | None = None  # the first record: its line, and cells
    for number, line in lines(path, comment=None):
        fields = _split(line)
        if line.startswith("#"):
            commented = commented or _header(_split(line.lstrip("# ")))
            continue
        if len(fields) < 3:
            raise InputError(
                f"{path}:{number}: a BED line needs contig, start and end, "
                f"found {line[:60]!r}: correct the line."
            )
        if places is None:
            header = _header(fields)
            said = header or commented
            places = {key: _column_index(path, key, column, said) for key, column in wanted.items()}
            length = _find_length(said)
            if header:
                continue
        start, end = span(path, number, fields[1], fields[2], 0)
        if length is not None and length < len(fields) and fields[length] == str(end - start + 1):
            raise InputError(
                f"{path}:{number}: {start} to {end} are {fields[length]} bases by the column "
                f"{said[length]!r}, so that the table counts from 1, and BED from 0: take 1 from "
                "each start, and leave that column out."
            )
        length = None  # the first record says it of all
        found = {key: _cell(path, number, fields, key, place) for key, place in places.items()}
        if found["strand"] not in STRANDS:
            raise InputError(
                f"{path}:{number}: the strand is {found['strand']!r}: write '+', '-' or '.', or, "
                "of a task, name another `strand_column`."
            )
        _refuse_misplaced(path, number, fields, places["strand"])
        first = first or (number, fields)
        _refuse_ragged(path, (number, fields), first, places)
        interval = Interval(
            contig=fields[0].strip(),
            start=start,
            end=end,
            name=found["name"],
            strand=found["strand"],
        )
        yield number, interval, _summit(path, number, found["summit"], end - start)
    if first is None:
        raise InputError(f"{path} holds no interval: give a BED file with at least one line.")


def _refuse_misplaced(path: str | Path, number: int, fields: list[str], strand: int | None) -> None:
    """Raise InputError for a strand in a line that ends before the column of strands."""
    misplaced = strand is not None and strand >= len(fields)
    for place, field in enumerate(fields[3:], start=4) if misplaced else ():
        if field in STRANDS[:2]:
            raise InputError(
                f"{path}:{number}: column {place} holds {field!r}, but the strand is read from "
                f"column {STRAND_COLUMN}: write contig, start, end, name, score and strand."
            )


def _refuse_ragged(
    path: str | Path,
    line: tuple[int, list[str]],
    first: tuple[int, list[str]],
    places: Mapping[str, int | None],
) -> None:
    """Raise InputError for a line that has a column which the first has not, or the reverse.

    One without a strand would be read forward, whatever it is.
    """
    (number, fields), (first_number, others) = line, first
    for key, place in places.items():
        if place is not None and (place < len(fields)) != (place < len(others)):
            raise InputError(
                f"{path}:{number}: the line has {len(fields)} columns, and line {first_number} has"
                f" {len(others)}, so that there is a {key} in one and not in the other: give every"
                " line the same columns, '.' where it has no strand."
            )


def _split(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _header(fields: list[str]) -> list[str]:
    """Return the column names of a header line, none of any other line."""
    return fields if {field.lower() for field in fields[1:3]} in HEADER_COLUMNS else []


def _column_index(
    path: str | Path, key: str, column: int | str | None, header: list[str]
) -> int | None:
    """Return the 0-based index of a column that is named or counted from 1."""
    if column is None or isinstance(column, int):
        _refuse_other_place(path, key, column, header)
        return None if column is None else column - 1
    if column not in header:
        said = f"its columns are {listing(nearest_first(column, header))}"
        said = said if header else "it has no header"
        raise InputError(f"{path} has no column {column!r} for the {key}; {said}: correct it.")
    if header.count(column) > 1:
        raise InputError(
            f"{path} has {header.count(column)} columns {column!r}, and one is to hold the {key}: "
            "rename the others, or give the number of the column."
        )
    return header.index(column)


def _refuse_other_place(path: str | Path, key: str, column: int | None, header: list[str]) -> None:
    """Raise InputError where a header says that the strand stands in another column."""
    named = [place for place, name in enumerate(header, start=1) if name.lower() == key]
    if key == "strand" and column is not None and named and column not in named:
        raise InputError(
            f"{path} has its strands in column {named[0]} by its header, but column {column} is to "
            "hold them: put the columns into the order of BED or, of a task, name that column "
            "(build.strand_column)."
        )


def _find_length(header: list[str]) -> int | None:
    found = [place for place, name in enumerate(header) if name.lower() in LENGTH_COLUMNS]
    return found[0] if found else None


def _cell(path: str | Path, number: int, fields: list[str], key: str, place: int | None) -> str:
    if place is not None and place < len(fields):
        return fields[place].strip()
    if place is None or (key, place + 1) in OPTIONAL_COLUMNS:
        return "." if key == "strand" else ""
    raise InputError(
        f"{path}:{number}: the line has {len(fields)} columns, but column {place + 1} is to hold "
        f"the {key}: name another column."
    )


def _summit(path: str | Path, number: int, text: str, length: int) -> int:
    if text in ("", ".", str(NO_SUMMIT)):
        return NO_SUMMIT
    if not COORDINATE.fullmatch(text) or int(text) >= length:
        raise InputError(
            f"{path}:{number}: {text[:20]!r} is no summit inside the interval's {length} bases: "
            "name another column or correct the line."
        )
    return int(text)


def write_bed(intervals: Iterable[Interval], path: str | Path) -> None:
    """Write intervals as six-column BED, score 0, in the order given."""
    with write_text(path) as file:
        for interval in intervals:
            fields = (interval.contig, interval.start, interval.end, interval.name, 0)
            file.write("\t".join(map(str, (*fields, interval.strand))) + "\n")


def merge_spans(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Spans:
    """Return the union of intervals as disjoint ones: int64 starts and ends, sorted."""
    if not len(starts):
        return starts, ends
    order = np.argsort(starts, kind="stable")
    # An interval begins a new one of the union behind the furthest end of all before it.
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    first = np.concatenate([[True], starts[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return starts[first], reach[last]


def touch(starts: NDArray[np.int64], ends: NDArray[np.int64], spans: Spans) -> NDArray[np.bool_]:
    """Return which intervals overlap any of `spans` (as `merge_spans` returns them), bool[n].

    An empty interval overlaps nothing.
    """
    found = np.searchsorted(spans[1], starts, side="right")
    reached = np.append(spans[0], np.iinfo(np.int64).max)[found]
    return (reached < ends) & (starts < ends)
