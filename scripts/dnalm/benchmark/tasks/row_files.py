"""Readers of labelled sequences: FASTA, CSV, TSV and Parquet files."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.tasks.labels import MISSING_TEXTS, MISSING_UNLESS_MAPPED
from dnalm.benchmark.tasks.table_cells import read_cells
from dnalm.errors import InputError
from dnalm.genome.annotation import open_text, readable
from dnalm.suggestions import listing, nearest_first

FORMATS = {
    ".fa": "fasta",
    ".fna": "fasta",
    ".fasta": "fasta",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
}
SEPARATORS = {"csv": ",", "tsv": "\t"}
OTHER_SEPARATORS = ";,\t| "
# A header up to where a pattern finds digits, if they are the end of a longer number: -, 0. or 1e-
NUMBER_BEFORE = re.compile(
    r"(?:^|[\s|=:;,_])"
    r"([-+]?[0-9.]*[0-9]\.?[eE][-+]?[0-9]*|[-+][0-9.]*|[0-9.]+)$"
)
# A header from where the digits end, if the number goes on: 0, .5 or e-5.
NUMBER_BEHIND = re.compile(r"\.?[0-9][0-9.]*(?:[eE][-+]?[0-9]+\b)?|\.?[eE][-+]?[0-9]+\b")
NO_SEQUENCE = (MISSING_TEXTS | MISSING_UNLESS_MAPPED) - {"nat"}  # of times, and three bases
BATCH_ROWS = 4096  # of a Parquet file, in memory at once
SNIFFED_CHARACTERS = 512  # in which a web page shows


class Columns(Protocol):
    """Where a file keeps its sequences and labels; `sequence_column` None: it has labels alone."""

    format: str
    sequence_column: str | None
    label_column: str | Sequence[str]
    label_pattern: str | None


@dataclass(frozen=True, kw_only=True)
class LabelledRow:
    """One row as read: nothing cleaned, the label as text.

    Where there are several label columns or the column holds lists, `label` is their values; None
    or NaN is missing. `label_origin` says where it was read, if that was another file.
    `provenance` is the same on every machine: it names the file without its folder.
    """

    sequence: str
    label: str | Sequence[Any] | None
    split: str
    provenance: str
    folder: str = ""
    group: str = ""  # that rows of one fold share, where folds are made of groups
    label_origin: str = ""

    @property
    def place(self) -> str:
        """Where to find the row: its provenance with the folder."""
        return str(Path(self.folder) / self.provenance)

    @property
    def label_place(self) -> str:
        """Where to find the label of the row."""
        return self.label_origin or self.place


def refuse_folder(path: str | Path) -> None:
    """Raise InputError for a folder where rows are to be read."""
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder: give the path of a file in it.")


def read_labelled(
    path: str | Path, split: str, columns: Columns, label: str | None = None
) -> Iterator[LabelledRow]:
    """Yield the rows of one file, plain or gzip; rows are counted from 1 without the header.

    With `label` it is that of all rows, and none is looked for in the file.

    Raises InputError for a folder, an empty file, a web page, an unknown format, a missing column,
    a line with too many or too few cells, a FASTA header without a label and a file that cannot be
    read.
    """
    refuse_folder(path)
    kind = find_format(path, columns.format)
    if kind not in FORMATS.values():
        raise InputError(
            f"The format {kind!r} of {path} is not known; known formats: "
            f"{listing(nearest_first(kind, ['auto', *sorted(set(FORMATS.values()))]))}."
        )
    reader = {"fasta": _read_fasta, "parquet": _read_parquet}.get(kind, _read_text)
    try:
        with readable(path):
            _refuse_page(path, kind)
            rows = reader(path, kind, columns, label is None)
            for number, (sequence, own) in enumerate(rows, start=1):
                yield LabelledRow(
                    sequence=sequence,
                    label=own if label is None else label,
                    split=split,
                    provenance=f"{Path(path).name}, row {number}",
                    folder=str(Path(path).parent),
                )
    except pa.ArrowException as error:
        raise InputError(
            f"{path} is not a {kind} file ({' '.join(str(error).split())}): "
            "fetch it again or set `format` of the task."
        ) from error


def read_columns(path: str | Path, form: str) -> list[str]:
    """Return the names of the columns of a file, none of FASTA; `form` is `Columns.format`.

    Raises InputError as `read_labelled` does.
    """
    refuse_folder(path)
    kind = find_format(path, form)
    if kind == "fasta":
        return []
    try:
        with readable(path):
            _refuse_page(path, kind)
            if kind == "parquet":
                return pq.read_schema(path).names
            with open_text(path) as file:
                lines = csv.reader(file, delimiter=SEPARATORS[kind], strict=True)
                return next(filter(None, lines), [""])
    except (pa.ArrowException, csv.Error):
        return []  # which its rows will tell


def find_format(path: str | Path, form: str) -> str:
    """Return the format of a file: `form`, where that is auto by the ending of its name."""
    return _format_of(Path(path)) if form == "auto" else form


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in (path.suffix, path.with_suffix("").suffix)]
    suffix = suffixes[suffixes[0] in (".gz", ".bgz")]
    if suffix not in FORMATS:
        raise InputError(
            f"{path} has an ending that names no format: set `format` of the task to one of "
            f"{', '.join(sorted(set(FORMATS.values())))}."
        )
    return FORMATS[suffix]


def _refuse_page(path: str | Path, kind: str) -> None:
    """Raise InputError for an empty file and for a web page, which failed downloads leave."""
    with open_text(path) as file:
        # Parquet begins with a binary header that need not be text.
        file.reconfigure(errors="replace")
        head = file.read(SNIFFED_CHARACTERS)
    if not head.strip():
        raise InputError(f"{path} is empty: fetch it again or give another file.")
    if "\0" in head and kind != "parquet":
        raise InputError(
            f"{path} holds zero bytes, as binary files do and UTF-16 without a byte order mark: "
            "save it as UTF-8 or set `format` of the task."
        )
    if head.lstrip().startswith("<"):
        raise InputError(
            f"{path} is a web page, not a {kind} file: open the address in a browser to see why, "
            "then fetch the file itself."
        )


def _read_parquet(
    path: str | Path, kind: str, columns: Columns, labelled: bool
) -> Iterator[tuple[str, str | Sequence[Any] | None]]:
    # Names as they are stored, which are texts: pandas would make numbers of those it wrote, and
    # an index of a column. Nor are its notes read, which may be damaged.
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        sequence, places = _find_columns(path, names, columns, labelled)
        if sequence is not None and pa.types.is_nested(file.schema_arrow.types[sequence]):
            raise InputError(
                f"{path}: the column {names[sequence]!r} holds lists or structures, and sequences "
                "are texts: join them, or set `sequence_column` of the task."
            )
        wanted = [names[place] for place in (sequence, *places) if place is not None]
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_pandas_metadata=False):
            stored = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            yield from _parquet_rows(stored, columns, labelled)


def _parquet_rows(
    stored: pa.Table, columns: Columns, labelled: bool
) -> Iterator[tuple[str, str | Sequence[Any] | None]]:
    # A missing whole number stays one: as a float it would make 1.0 of every 1.
    table = stored.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    sequences = [""] * len(table)
    if columns.sequence_column is not None:
        stored = table[columns.sequence_column]
        sequences = ["" if pd.isna(text) else _sequence(to_text(text)) for text in stored]
    labels: Iterable[Any] = [None] * len(table)
    if labelled and isinstance(columns.label_column, str):
        labels = map(_parquet_cell, table[columns.label_column])
    elif labelled:
        labels = zip(*(table[column] for column in columns.label_column), strict=True)
    yield from zip(sequences, labels, strict=True)


def _parquet_cell(value: Any) -> str | list[Any] | None:
    if isinstance(value, np.ndarray | list):  # of a list and of a map
        return value.tolist() if isinstance(value, np.ndarray) else value
    return None if pd.isna(value) else to_text(value)


def _sequence(cell: str) -> str:
    """Return the sequence in a cell of a table, "" where it says that there is none.

    The letters of NA and NaN would be read as DNA.
    """
    return "" if cell.strip().lower() in NO_SEQUENCE else cell


def to_text(value: Any) -> str:
    """Return a value of a Parquet file as text."""
    # Some writers store text as bytes, without the mark that they are of a text.
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _read_text(
    path: str | Path, kind: str, columns: Columns, labelled: bool
) -> Iterator[tuple[str, str | Sequence[str] | None]]:
    # Text, not numbers: the label "1.5" has to be named as it stands in the file.
    rows = read_cells(path, SEPARATORS[kind])
    _, header = next(rows, (0, [""]))
    sequence, labels = _find_columns(path, header, columns, labelled, SEPARATORS[kind])
    single = isinstance(columns.label_column, str)
    for _, cells in rows:
        found = [cells[label] for label in labels]
        own = "" if sequence is None else _sequence(cells[sequence])
        yield own, found[0] if single and found else found or None


def _find_columns(
    path: str | Path, header: list[str], columns: Columns, labelled: bool, separator: str = ""
) -> tuple[int | None, list[int]]:
    """Return the numbers of the sequence and the label columns, none of what the file has not."""
    other = next((mark for mark in OTHER_SEPARATORS if mark in "".join(header[:1])), None)
    if separator and len(header) == 1 and other:
        kinds = [kind for kind, mark in SEPARATORS.items() if mark == other]
        remedy = f"set `format` of the task to {kinds[0]}" if kinds else f"use {separator!r} there"
        raise InputError(
            f"{path}: its columns are separated by {other!r}, not by {separator!r}: {remedy}."
        )
    labels = columns.label_column
    labels = [] if not labelled else [labels] if isinstance(labels, str) else list(labels)
    sequences = [] if columns.sequence_column is None else [columns.sequence_column]
    for column, key in (
        *((sequence, "sequence_column") for sequence in sequences),
        *((label, "label_column") for label in labels),
    ):
        if column not in header:
            raise InputError(
                f"{path} has no column {column!r}, its columns are "
                f"{listing(map(repr, nearest_first(column, header)))}: set `{key}` of the task."
            )
        if header.count(column) > 1:
            raise InputError(
                f"{path} has {header.count(column)} columns {column!r}, and one is to be read: "
                "rename the others."
            )
    sequence = header.index(sequences[0]) if sequences else None
    return sequence, [header.index(label) for label in labels]


def _read_fasta(
    path: str | Path, kind: str, columns: Columns, labelled: bool
) -> Iterator[tuple[str, str]]:
    if columns.label_pattern is None and labelled:
        raise InputError(
            f"{path} is FASTA, so its labels stand in the headers: set `label_pattern` of the "
            "task to a regular expression whose first group is the label."
        )
    pattern = re.compile(columns.label_pattern if labelled and columns.label_pattern else "()")
    label: str | None = None
    parts: list[str] = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            if line.startswith(">"):
                if label is not None:
                    yield "".join(parts), label
                match = pattern.search(line[1:])
                if match is None or match.group(1) is None:
                    raise InputError(
                        f"{path}, line {number}: the header {line[:80]!r} does not match "
                        f"`label_pattern` {columns.label_pattern!r} of the task: correct it."
                    )
                label, parts = match.group(1), []
                _refuse_cut_number(f"{path}, line {number}", line[1:], match)
            elif line and label is None:
                raise InputError(
                    f"{path}, line {number}: sequence or text before the first '>' header: "
                    "this is not a FASTA file, fetch it again or set `format` of the task."
                )
            else:
                parts.append(line)
    if label is not None:
        yield "".join(parts), label


def _refuse_cut_number(place: str, header: str, match: re.Match[str]) -> None:
    """Raise InputError where a label is a part of a number whose sign or digits are left out.

    A pattern that names what stands before or behind its group means it so.
    """
    label, (start, end) = match.group(1) or "", match.span(1)
    before = NUMBER_BEFORE.search(header[:start]) if start == match.start() else None
    behind = NUMBER_BEHIND.match(header, end) if end == match.end() else None
    # A sign goes on with a number only behind its exponent: 1-5 is a range.
    goes_on = label[:1].isdecimal() or (before and before[1][-1] in "eE" and label[:1] in "+-")
    first = before[1] if before and label and goes_on else ""
    last = behind[0] if behind and (label[-1:].isdecimal() or label[-1:] == ".") else ""
    if first or last:
        raise InputError(
            f"{place}: `label_pattern` of the task reads {label!r} of the number "
            f"{first + label + last!r}: let it take the whole number or say what stands before and "
            "behind it."
        )
