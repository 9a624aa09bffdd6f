"""What a task's labels say about its kind and classes, where its entry does not."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dnalm.benchmark.labelled import LabelledRow
from dnalm.errors import InputError

WHOLE = re.compile(r"[0-9]+")
MOST_GUESSED = 100  # classes; more whole numbers are counts or scores, not classes
LEAST = 3  # classes of a multiclass task
SHOWN = 5


class Meaning(Protocol):
    """What the config says about the labels of a task; None where it says nothing."""

    kind: str | None
    classes: int | None
    labels: Mapping[Any, int] | None


def guess_meaning(rows: Sequence[LabelledRow], meaning: Meaning, name: str) -> dict[str, Any]:
    """Return {kind, classes} of a task: what is given, and what follows from that or its labels.

    Whole numbers from 0 without a hole, at most 100 different ones, are classes: two of them are
    binary, more multiclass. Every other kind has to be given.

    Raises InputError, with the labels that were found, when the two cannot be told.
    """
    kind, classes = meaning.kind, meaning.classes
    if kind == "binary":
        classes = 2 if classes is None else classes
    if kind is None and classes is not None:
        kind = "binary" if classes == 2 else "multiclass"
    if kind in (None, "multiclass") and classes is None and rows:
        classes = _count_classes(rows, meaning, name)
        if kind == "multiclass" and classes < LEAST:
            raise InputError(
                f"Task {name} is of kind multiclass, but its labels are {classes} classes: write "
                "`kind: binary` or leave `kind` out."
            )
        kind = kind or ("binary" if classes == 2 else "multiclass")
    if not rows:  # which is an error of its own
        return {"kind": kind or "binary", "classes": classes or 2}
    if classes is None:
        raise InputError(
            f"Task {name} is of kind {kind}, whose number of labels cannot be guessed: write "
            "`classes` into its entry."
        )
    return {"kind": kind, "classes": classes}


def _count_classes(rows: Sequence[LabelledRow], meaning: Meaning, name: str) -> int:
    raw = {str(row.label).strip() for row in rows}
    if meaning.labels is not None:  # a label without a class is found when the rows are read
        return 1 + max(meaning.labels.values())
    found = sorted(raw, key=lambda text: (len(text), text) if WHOLE.fullmatch(text) else (0, text))
    shown = ", ".join(map(repr, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
    whole = all(map(WHOLE.fullmatch, found))
    numbers = {int(text) for text in found} if whole else set()
    if 2 <= len(found) <= MOST_GUESSED and numbers == set(range(len(found))):
        return len(found)
    few = 2 <= len(found) <= SHOWN
    mapping = ", ".join(f'"{text}": {number}' for number, text in enumerate(found))
    remedy = (
        f"write `labels: {{{mapping}}}`, in the order that you want"
        if few
        else ("write `labels: {label: class}` into its entry")
    )
    raise InputError(
        f"Task {name} does not say its `kind`, and its {len(found)} different labels are not the "
        f"class numbers 0, 1, ... ({shown}): {remedy}, or its `kind` and `classes`."
    )
