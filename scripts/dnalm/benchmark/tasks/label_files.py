"""Labels in a file beside that of the sequences, joined by the order of their rows."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from dnalm.benchmark.tasks.row_files import Columns, LabelledRow, find_format, read_labelled
from dnalm.errors import InputError

# The files of labels by what the files of sequences hold, as keys of what a table is made from.
LABELS_OF = {"train": "train_labels", "validation": "validation_labels", "test": "test_labels"}
HEADERS = "^(.*)$"  # of FASTA: nothing but that of the first and the last record is read of them
MAX_SHOWN = 80  # characters of a header or a label in a message

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """Where a file of labels keeps them; it has a table's format, which its name says."""

    format: str
    sequence_column: None
    label_column: str
    label_pattern: None


def join_labels(
    sequences: str | Path, labels: str | Path, split: str, columns: Columns
) -> list[LabelledRow]:
    """Return the rows of a file of sequences, row i with the labels of row i of another file.

    Nothing in the files can tell that they belong together but their numbers of rows, so the first
    and the last pair are logged.

    Raises InputError for unequal numbers, for labels in FASTA and as `read_labelled` does.
    """
    if find_format(labels, "auto") == "fasta":
        raise InputError(
            f"{labels} is FASTA, and labels_file of the task names tables of labels: give a CSV, "
            "TSV or Parquet file, or let `label_pattern` read the labels of the headers."
        )
    fasta = find_format(sequences, columns.format) == "fasta"
    read = replace(columns, label_pattern=HEADERS) if fasta else columns
    rows = list(read_labelled(sequences, split, read, None if fasta else ""))
    of_labels = _Labels(
        format="auto",
        sequence_column=None,
        label_column=columns.label_column,
        label_pattern=None,
    )
    found = list(read_labelled(labels, split, of_labels))
    ends = [rows[0], rows[-1]] if rows else []
    names = [_show(row.label if fasta else row.sequence) for row in ends] or ["none", "none"]
    if len(rows) != len(found):
        raise InputError(
            f"{sequences} has {len(rows):,} sequences, from {names[0]} to {names[1]}, but {labels} "
            f"has {len(found):,} rows of labels, and row i is to be that of sequence i: give the "
            "two files that belong together."
        )
    if not rows:
        return []
    log.info(
        "%s: labels are joined by the order of %d rows, the first is %s with %s, the last %s with "
        "%s of %s",
        *(sequences, len(rows), names[0], _show(found[0].label)),
        *(names[1], _show(found[-1].label), labels),
    )
    return [
        replace(row, label=own.label, label_origin=own.place)
        for row, own in zip(rows, found, strict=True)
    ]


def _show(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return repr(text[:MAX_SHOWN])
