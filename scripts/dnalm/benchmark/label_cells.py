"""What stands in a file as a row's label, as the number or the numbers that it means."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dnalm.benchmark.labelled import LabelledRow
from dnalm.benchmark.labels import CLASSES, NO_LABEL
from dnalm.errors import InputError

WHOLE = re.compile(r"[+-]?[0-9]+")


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
    if meaning.kind in CLASSES:
        return _classes(row, [row.label], meaning)[0]
    texts = _split(row.label, meaning)
    if meaning.kind == "per_base":
        if len(texts) != len(sequence):
            raise InputError(
                f"{row.place} has {len(texts)} labels for {len(sequence)} bases: give one for each "
                "base, or correct `label_separator` of the task."
            )
        labels = np.array(_classes(row, texts, meaning), dtype=np.int64)
        labels[np.frombuffer(sequence.encode(), np.uint8) == ord("N")] = NO_LABEL
        return labels
    if len(texts) != meaning.classes:
        raise InputError(
            f"{row.place} has {len(texts)} labels, but the task has {meaning.classes}: correct "
            "the row, or `classes`, `label_column` or `label_separator` of the task."
        )
    if meaning.kind == "regression":
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
    one = len(parts) == 1 and meaning.kind != "regression"
    return list(text) if one else parts


def _classes(row: LabelledRow, cells: Sequence[Any], meaning: Meaning) -> list[int]:
    texts = [str(cell).strip() for cell in cells]
    numbers = {text: _class(row, text, meaning) for text in dict.fromkeys(texts)}
    return [numbers[text] for text in texts]


def _class(row: LabelledRow, raw: str, meaning: Meaning) -> int:
    if meaning.labels is not None:
        known = {str(key): value for key, value in meaning.labels.items()}
        if raw not in known:
            raise InputError(
                f"{row.place} has the label {raw!r}, which `labels` of the task does not "
                f"list (it lists {', '.join(known)}): add it there."
            )
        raw = str(known[raw])
    if not WHOLE.fullmatch(raw):
        raise InputError(
            f"{row.place} has the label {raw!r}, which is not an integer: "
            "map it to a class number with `labels` in the task's config."
        )
    if meaning.kind == "multilabel" and int(raw) not in (0, 1):
        raise InputError(
            f"{row.place} has the label {raw}, but a multilabel task has a 0 or a 1 for each of "
            "its labels: correct the row or map it with `labels`."
        )
    if not 0 <= int(raw) < meaning.classes:
        raise InputError(
            f"{row.place} has the label {raw}, but {meaning.classes} classes allow only "
            f"0 to {meaning.classes - 1}: correct `classes` of the task or map it with `labels`."
        )
    return int(raw)


def _number(row: LabelledRow, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InputError(
            f"{row.place} has the label {text.strip()!r}, which is no number: correct the row, or "
            "`label_column` or `kind` of the task."
        ) from None
    if not math.isfinite(number):
        raise InputError(
            f"{row.place} has the label {text.strip()!r}, which is no finite number: correct or "
            "remove the row."
        )
    return number
