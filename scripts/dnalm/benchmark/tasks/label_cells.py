"""Labels parsed from the text of their cells; kind and number of classes inferred from them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dnalm.benchmark.tasks.kinds import (
    BASES,
    FLAG,
    NUMBER,
    find_kind,
    kind_of_classes,
)
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.benchmark.tasks.row_files import LabelledRow
from dnalm.errors import InputError
from dnalm.suggestions import listing, nearest_first

# Digits of ASCII, no more than an integer of the table holds.
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
DIGITS = re.compile(r"[0-9]{1,18}")
# A whole number as programs write it that know no missing one, and make the column one of floats.
WHOLE = re.compile(r"([+-]?[0-9]{1,18})[.]0+")
NUMBER_TEXT = re.compile(r"[0-9a-zA-Z.+-]+")  # float() also reads 1_0, and digits of other scripts
MEASUREMENT = re.compile(r"[+-]?[0-9]*[.]?[0-9]+(e[+-]?[0-9]+)?", re.IGNORECASE)
LARGEST_NUMBER = 1e100  # squares are summed over rows
MAX_INFERRED_CLASSES = 100  # more whole numbers are counts or scores, not classes
MAX_LISTED = 5
MAX_SHOWN = 40  # characters of a label in a message


class Meaning(Protocol):
    """What the config says about the labels of a task."""

    kind: str
    classes: int
    labels: Mapping[Any, int] | None
    label_separator: str | None


def read_label(row: LabelledRow, sequence: str, meaning: Meaning) -> int | np.ndarray:
    """Return the label of a row whose cleaned sequence is given.

    binary, multiclass: a class; multilabel: int64 [classes], 0 or 1; regression: float64 [classes];
    per_base: int64 [bases], `NO_LABEL` where the base is an N. Several values are those of several
    columns, those of a list, or the parts of a text between `label_separator`; a text without it
    is taken character by character (but for a regression), brackets around it are dropped.

    Raises InputError, naming the row, for other numbers of values and for other values.
    """
    kind = find_kind(meaning.kind)
    if kind.one_class:
        return _classes(row, [row.label], meaning)[0]
    texts = _split(row.label, meaning)
    if kind.shape == BASES:
        if len(texts) != len(sequence):
            raise InputError(
                f"{row.label_place} has {len(texts)} labels for {len(sequence)} bases: give one "
                "for each base, or correct `label_separator` of the task."
            )
        labels = np.array(_classes(row, texts, meaning), dtype=np.int64)
        labels[np.frombuffer(sequence.encode(), np.uint8) == ord("N")] = NO_LABEL
        return labels
    if len(texts) != meaning.classes:
        raise InputError(
            f"{row.label_place} has {len(texts)} labels, but the task has {meaning.classes}: "
            "correct the row, or `classes`, `label_column` or `label_separator` of the task."
        )
    if kind.value == NUMBER:
        return np.array([_number(row, text) for text in texts])
    return np.array(_classes(row, texts, meaning), dtype=np.int64)


def _split(label: str | Sequence[Any], meaning: Meaning) -> list[str]:
    if not isinstance(label, str):
        return [str(value) for value in label]
    text = label.strip().removeprefix("[").removesuffix("]").strip()
    separator = meaning.label_separator
    if separator and separator.isspace():
        parts = text.split()  # however many blanks stand between two values
    else:
        parts = text.split(separator) if separator else [text]
    by_character = len(parts) == 1 and find_kind(meaning.kind).value != NUMBER
    return list(text) if by_character else parts


def _classes(row: LabelledRow, cells: Sequence[Any], meaning: Meaning) -> list[int]:
    texts = [str(cell).strip() for cell in cells]
    numbers = {text: _class(row, text, meaning) for text in dict.fromkeys(texts)}
    return [numbers[text] for text in texts]


def _class(row: LabelledRow, raw: str, meaning: Meaning) -> int:
    if meaning.labels is not None:
        known = {str(key): value for key, value in meaning.labels.items()}
        raw = raw if raw in known else _without_fraction(raw)
        if raw not in known:
            raise InputError(
                f"{row.label_place} has the label {raw[:MAX_SHOWN]!r}, which `labels` of the task "
                f"does not list (it lists {listing(nearest_first(raw, known))}): add it there, "
                "in quotes as it stands in the file."
            )
        raw = str(known[raw])
    raw = _without_fraction(raw)
    if not INTEGER.fullmatch(raw):
        raise InputError(
            f"{row.label_place} has the label {raw[:MAX_SHOWN]!r}, which is not an integer: "
            "map it to a class number with `labels` in the task's config."
        )
    kind = find_kind(meaning.kind)
    if kind.value == FLAG and int(raw) not in (0, 1):
        raise InputError(
            f"{row.label_place} has the label {raw}, but a {kind.name} task has a 0 or a 1 for "
            "each of its labels: correct the row or map it with `labels`."
        )
    if not 0 <= int(raw) < meaning.classes:
        raise InputError(
            f"{row.label_place} has the label {raw}, but {meaning.classes} classes allow only "
            f"0 to {meaning.classes - 1}: correct `classes` of the task or map it with `labels`."
        )
    return int(raw)


def _without_fraction(text: str) -> str:
    """Return 1 of 1.0, and any other text as it is."""
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _number(row: LabelledRow, text: str) -> float:
    try:
        number = float(text if NUMBER_TEXT.fullmatch(text.strip()) else "none")
    except ValueError:
        raise InputError(
            f"{row.label_place} has the label {text.strip()!r}, which is no number: correct the "
            "row, or `label_column` or `kind` of the task."
        ) from None
    if not math.isfinite(number):
        raise InputError(
            f"{row.label_place} has the label {text.strip()!r}, which is no finite number: correct "
            "or remove the row."
        )
    if abs(number) > LARGEST_NUMBER:
        raise InputError(
            f"{row.label_place} has the label {text.strip()[:MAX_SHOWN]!r}, whose square no "
            "computer holds: give the targets in other units, or their logarithms."
        )
    return number


class Hints(Protocol):
    """What the config says about the labels of a task; None where it says nothing."""

    kind: str | None
    classes: int | None
    labels: Mapping[Any, int] | None


def infer_kind(rows: Sequence[LabelledRow], hints: Hints, name: str) -> dict[str, Any]:
    """Return {kind, classes} of a task: what is given, and what follows from that or its labels.

    Whole numbers from 0 without a hole, at most 100 different ones, are classes: two of them are
    binary, more multiclass. Every other kind has to be given.

    Raises InputError, with the labels that were found, when the two cannot be told.
    """
    kind, classes = hints.kind, hints.classes
    given = None if kind is None else find_kind(kind)
    if given and given.min_classes == given.max_classes and classes is None:
        classes = given.min_classes
    if classes is None and rows and (given is None or given.one_class):
        classes = _count_classes(rows, hints, name)
        if given and classes < given.min_classes:
            raise InputError(
                f"Task {name} is of kind {kind}, but its labels are {classes} classes: write "
                f"`kind: {kind_of_classes(classes).name}` or leave `kind` out."
            )
    kind = kind or kind_of_classes(classes).name
    if not rows:  # which is an error of its own
        return {"kind": kind, "classes": classes or find_kind(kind).min_classes}
    if classes is None:
        raise InputError(
            f"Task {name} is of kind {kind}, whose number of labels cannot be guessed: write "
            "`classes` into its entry."
        )
    return {"kind": kind, "classes": classes}


def _count_classes(rows: Sequence[LabelledRow], hints: Hints, name: str) -> int:
    raw = {_without_fraction(str(row.label).strip()) for row in rows}
    if hints.labels is not None:  # a label without a class is found when the rows are read
        return 1 + max(hints.labels.values())
    found = sorted(raw, key=lambda text: (len(text), text) if DIGITS.fullmatch(text) else (0, text))
    shown = ", ".join(repr(text[:MAX_SHOWN]) for text in found[:MAX_LISTED]) + (
        ", ..." if len(found) > MAX_LISTED else ""
    )
    whole = all(map(DIGITS.fullmatch, found))
    numbers = {int(text) for text in found} if whole else set()
    if 2 <= len(found) <= MAX_INFERRED_CLASSES and numbers == set(range(len(found))):
        return len(found)
    unsaid = f"Task {name} does not say its `kind`, and"
    if len(found) == 1:
        raise InputError(
            f"{unsaid} all its rows have the label {shown}: give rows of another class, too, or "
            "write its `kind` and `classes`."
        )
    several = f"{unsaid} its {len(found)} different labels are not the class numbers 0, 1, ..."
    if len(found) <= MAX_LISTED and max(map(len, found)) <= MAX_SHOWN:
        mapping = ", ".join(f'"{text}": {number}' for number, text in enumerate(found))
        remedy = f"write `labels: {{{mapping}}}`, in the order that you want"
    elif all(map(MEASUREMENT.fullmatch, found)):
        remedy = "write `kind: regression` and `classes: 1` where they are measurements"
    elif len(found) == len(rows):
        remedy = (
            "where they are names of the rows, say where the label stands by `label_column`, or "
            "in headers of FASTA by `label_pattern`; else write `labels: {label: class}`"
        )
    else:
        remedy = "write `labels: {label: class}` into its entry"
    raise InputError(f"{several} ({shown}): {remedy}, or its `kind` and `classes`.")
