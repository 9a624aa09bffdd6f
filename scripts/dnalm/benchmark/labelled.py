"""Labelled sequences as people publish them: FASTA, CSV, TSV and Parquet files."""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.errors import InputError
from dnalm.genome.annotation import open_text

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


class Columns(Protocol):
    """Where a file keeps its sequences and labels."""

    format: str
    sequence_column: str
    label_column: str
    label_pattern: str | None


@dataclass(frozen=True, kw_only=True)
class LabelledRow:
    """One row as read: nothing cleaned, the label as text, its origin for error messages."""

    sequence: str
    label: str
    split: str
    provenance: str


def read_labelled(path: str | Path, split: str, columns: Columns) -> Iterator[LabelledRow]:
    """Yield the rows of one file, plain or gzip; rows are counted from 1 without the header.

    Raises InputError for an unknown format, a missing column, a FASTA header without a label and
    a file that cannot be read.
    """
    kind = columns.format if columns.format != "auto" else _format_of(Path(path))
    reader = _read_fasta if kind == "fasta" else _read_table
    try:
        for number, (sequence, label) in enumerate(reader(path, kind, columns), start=1):
            yield LabelledRow(
                sequence=sequence,
                label=label,
                split=split,
                provenance=f"{Path(path).name}, row {number}",
            )
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {error}): fetch the file again."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{path} is not a {kind} file ({' '.join(str(error).split())}): "
            "fetch it again or set `format` of the task."
        ) from error


def _format_of(path: Path) -> str:
    suffix = path.with_suffix("").suffix if path.suffix in (".gz", ".bgz") else path.suffix
    if suffix not in FORMATS:
        raise InputError(
            f"{path} has an ending that names no format: set `format` of the task to one of "
            f"{', '.join(sorted(set(FORMATS.values())))}."
        )
    return FORMATS[suffix]


def _read_table(path: str | Path, kind: str, columns: Columns) -> Iterator[tuple[str, str]]:
    if kind == "parquet":
        table = pq.read_table(path).to_pandas()
    elif kind in SEPARATORS:
        # Text, not numbers: the label "1.5" has to be named as it stands in the file.
        with open_text(path) as file:
            table = pd.read_csv(file, sep=SEPARATORS[kind], dtype=str, keep_default_na=False)
    else:
        raise InputError(
            f"The format {kind!r} of {path} is not known; known formats: auto, "
            f"{', '.join(sorted(set(FORMATS.values())))}."
        )
    for column, key in (
        (columns.sequence_column, "sequence_column"),
        (columns.label_column, "label_column"),
    ):
        if column not in table.columns:
            raise InputError(
                f"{path} has no column {column!r}, its columns are "
                f"{', '.join(map(repr, table.columns))[:200]}: set `{key}` of the task."
            )
    sequences = table[columns.sequence_column].fillna("").astype(str)
    yield from zip(sequences, table[columns.label_column].astype(str), strict=True)


def _read_fasta(path: str | Path, kind: str, columns: Columns) -> Iterator[tuple[str, str]]:
    if columns.label_pattern is None:
        raise InputError(
            f"{path} is FASTA, so its labels stand in the headers: set `label_pattern` of the "
            "task to a regular expression whose first group is the label."
        )
    pattern = re.compile(columns.label_pattern)
    label: str | None = None
    parts: list[str] = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            if line.startswith(">"):
                if label is not None:
                    yield "".join(parts), label
                match = pattern.search(line[1:])
                if match is None:
                    raise InputError(
                        f"{path}, line {number}: the header {line[:80]!r} does not match "
                        f"`label_pattern` {columns.label_pattern!r} of the task: correct it."
                    )
                label, parts = match.group(1), []
            elif line and label is None:
                raise InputError(
                    f"{path}, line {number}: sequence or text before the first '>' header: "
                    "this is not a FASTA file, fetch it again or set `format` of the task."
                )
            else:
                parts.append(line)
    if label is not None:
        yield "".join(parts), label
