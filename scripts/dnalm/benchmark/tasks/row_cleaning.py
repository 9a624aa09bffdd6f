"""Cleaning of labelled rows: missing labels, and letters of sequences that are no code of DNA."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.labels import MISSING_TEXTS, MISSING_UNLESS_MAPPED
from dnalm.benchmark.tasks.row_files import LabelledRow
from dnalm.errors import InputError
from dnalm.genome.letters import IUPAC, clean_sequence

DROP, MASK = "drop", "mask"
MAX_SHOWN = 40  # characters of a label in a message

log = logging.getLogger(__name__)


class Rules(Protocol):
    """What the config says about rows that cannot be used as they are."""

    kind: str | None
    labels: Mapping[Any, int] | None
    label_separator: str | None
    missing_labels: str | None
    other_letters: str | None
    min_bases: int | None


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """Rows with their sequences in upper case, of A, C, G, T and N alone, and what was changed.

    `counts`: rows without a label and rows with other letters that were left out, letters U that
    became T, IUPAC codes and other letters that became N.
    """

    rows: list[LabelledRow]
    sequences: list[str]
    counts: dict[str, int]


def clean_rows(rows: Iterable[LabelledRow], rules: Rules, name: str) -> Cleaned:
    """Return the rows of a task that can be used, and counts of what was left out or replaced.

    Raises InputError, naming the row, for an empty sequence and one of fewer than `min_bases`, and,
    unless the rules say otherwise, for a missing label and a letter that is no code of DNA.
    """
    rows = list(rows)
    labelled = [row for row in rows if not is_missing(row.label, rules)]
    missing = len(rows) - len(labelled)
    if missing and rules.missing_labels != DROP:
        first = next(row for row in rows if is_missing(row.label, rules))
        raise InputError(
            f"{first.label_place} has no label (found {str(first.label)[:MAX_SHOWN]!r}), one of "
            f"{missing:,} such rows among the {len(rows):,} of task {name}: fill them in, remove "
            "them, or set `missing_labels: drop` of the task to leave them out."
        )
    kept, sequences = [], []
    counts = {
        "rows_without_label": missing,
        "rows_with_other_letters": 0,
        "uracil_read_as_t": 0,
        "iupac_replaced": 0,
        "letters_masked": 0,
    }
    for row in labelled:
        sequence, changed = _clean(row, rules)
        for key, number in changed.items():
            counts[key] += number
        if sequence:
            kept.append(row)
            sequences.append(sequence)
    _report(counts, name, len(rows))
    return Cleaned(rows=kept, sequences=sequences, counts=counts)


def is_missing(label: Any, rules: Rules) -> bool:
    """Return whether a label, or one of several, is missing: null, NaN, or a text that says so.

    The texts NA and none are labels where `labels` maps them to a class.
    """
    parts = _parts(label, rules)
    if any(part is None for part in parts):
        return True
    # Of thousands of labels of bases few differ. NaN is a text here like others.
    known = {str(key) for key in rules.labels or ()}
    return any(_says_missing(text, known) for text in {str(part).strip() for part in parts})


def _parts(label: Any, rules: Rules) -> Sequence[Any]:
    if not isinstance(label, str):
        return label if isinstance(label, Sequence) else [label]
    separator = rules.label_separator
    if rules.kind is None or find_kind(rules.kind).one_class or not separator:
        return [label]
    text = label.strip().removeprefix("[").removesuffix("]")
    return [label] if not text.strip() or separator.isspace() else text.split(separator)


def _says_missing(text: str, known: set[str]) -> bool:
    if text.lower() in MISSING_TEXTS:
        return True
    return text.lower() in MISSING_UNLESS_MAPPED and text not in known


def _clean(row: LabelledRow, rules: Rules) -> tuple[str, dict[str, int]]:
    """Return the cleaned sequence, "" where it is left out, and how many letters were replaced."""
    cleaned = clean_sequence(row.sequence)
    if not cleaned.text:
        raise InputError(f"{row.place} has an empty sequence: remove the row or fill it in.")
    if rules.min_bases and len(cleaned.text) < rules.min_bases:
        raise InputError(
            f"{row.place} has a sequence of {len(cleaned.text)} bases, shorter than the "
            f"{rules.min_bases} of one token: remove the row or lower `min_bases` of the task."
        )
    changed = {"uracil_read_as_t": cleaned.uracil, "iupac_replaced": cleaned.iupac}
    if not cleaned.foreign:
        return cleaned.text, changed
    if rules.other_letters == DROP:
        return "", {"rows_with_other_letters": 1}
    if rules.other_letters == MASK:
        return cleaned.masked, {**changed, "letters_masked": len(cleaned.foreign)}
    raise InputError(
        f"{row.place} holds {cleaned.foreign[0]!r} in its sequence: "
        f"write DNA with the letters A, C, G, T, N or an IUPAC code ({IUPAC}), or set "
        "`other_letters` of the task to drop (such rows) or mask (such letters as N)."
    )


def _report(counts: Mapping[str, int], name: str, rows: int) -> None:
    said = {
        "rows_without_label": "rows have no label and are left out",
        "rows_with_other_letters": "rows hold letters that are no code of DNA and are left out",
        "uracil_read_as_t": "letters U are read as T, as of RNA",
        "letters_masked": "letters that are no code of DNA are read as N",
    }
    for key, what in said.items():
        if counts[key]:
            log.warning("%s: %d %s (%d rows are read).", name, counts[key], what, rows)
