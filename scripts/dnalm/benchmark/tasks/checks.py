"""Checks of a task's files and of its table, before anything is computed from them."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.kinds import BASES, CLASS, find_kind, label_array
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.benchmark.tasks.row_files import refuse_folder
from dnalm.benchmark.tasks.summary import SPLITS, Facts, name_files
from dnalm.errors import InputError
from dnalm.files import sha256_of

PART = re.compile(r"(.*-)(\d{1,6})(-of-(\d{1,6})\..*)")
MAX_FILE_LIST = 200  # characters

logger = logging.getLogger(__name__)


def check_sums(
    files: Mapping[str, Sequence[str]], sums: Mapping[str, str], name: str, key: str
) -> None:
    """Raise InputError when a file is not the one whose sha256 the task gives.

    `sums` has keys of `files`, and is what stands under `key` of the task.
    """
    for role, expected in sums.items():
        if len(files[role]) > 1:
            raise InputError(
                f"Task {name} has {len(files[role])} {role} files and one sha256 for them: "
                f"put them into one file or leave {key}.{role} out."
            )
        refuse_folder(files[role][0])
        found = sha256_of(files[role][0])
        if found != expected:
            raise InputError(
                f"{files[role][0]} has the sha256 {found}, but task {name} expects {expected}: "
                f"fetch the file again or correct {key}.{role} of the task."
            )


def warn_of_parts(files: Mapping[str, Sequence[str]], name: str) -> None:
    """Warn of a split whose files are parts of more, as train-00000-of-00003.csv is."""
    for split, paths in files.items():
        own = {Path(path).name for path in paths}
        left = sorted({part for file in own for part in _list_parts(file)} - own)
        if left:
            logger.warning(
                "%s: the %s rows are those of %s, not of %s: name all parts, in a list, if they "
                "belong to it.",
                name,
                split,
                ", ".join(sorted(own))[:MAX_FILE_LIST],
                ", ".join(left)[:MAX_FILE_LIST],
            )


def _list_parts(file: str) -> list[str]:
    """Return the names of all parts of what a file is one of."""
    if not (found := PART.fullmatch(file)):
        return []
    start, number, end, parts = found.groups()
    return [f"{start}{part:0{len(number)}}{end}" for part in range(int(parts))]


def check_table(
    table: pd.DataFrame,
    name: str,
    facts: Facts,
    files: Mapping[str, Sequence[str]],
) -> None:
    """Raise InputError unless each split has rows of every class; warn of other lengths.

    Of a multilabel or regression task one label or target has to differ between the rows of each
    split; the others are named in a warning.
    """
    for split in SPLITS:
        rows = table[table["split"] == split]
        origin = name_files(files, split)
        if rows.empty:
            raise InputError(
                f"Task {name} has no {split} rows ({origin}): give it a {split} file with rows "
                "or, for a task with `build:`, other test_contigs."
            )
        labels = label_array(rows, facts.kind)
        if find_kind(facts.kind).value == CLASS:
            _check_classes(labels, f"{split} rows ({origin})", name, facts)
        else:
            _check_values(labels, f"{split} rows ({origin})", name, facts)
    _check_lengths(table, name, facts.length)


def _check_classes(labels: np.ndarray, rows: str, name: str, facts: Facts) -> None:
    missing = sorted(set(range(facts.classes)) - set(np.unique(labels[labels != NO_LABEL])))
    if missing and find_kind(facts.kind).shape == BASES:
        raise InputError(
            f"Task {name} has {facts.classes} classes, but no base of its {len(labels)} {rows} is "
            f"of class {missing[0]}: add rows with such bases, lower `classes` or correct `labels`."
        )
    if missing:
        raise InputError(
            f"Task {name} has {facts.classes} classes, but none of its {len(labels)} {rows} "
            f"is of class {missing[0]}: add rows of it, lower `classes`, or "
            "correct what gives the class numbers (`labels` or, for a task with `build:`, "
            "labels_by_name, labels_by_kind or test_contigs)."
        )


def _check_values(labels: np.ndarray, rows: str, name: str, facts: Facts) -> None:
    kind = find_kind(facts.kind)
    constant, what = np.flatnonzero(~kind.varying(labels)), kind.unit
    if len(constant) == labels.shape[1]:
        raise InputError(
            f"Task {name} has no {what} that differs between its {len(labels)} {rows}: "
            "there is nothing to learn or to score; correct `label_column` or add rows."
        )
    if len(constant):
        logger.warning(
            "%d of %d %ss of %s are the same in all %d %s, the first is number %d; correlations "
            "and areas leave them out.",
            len(constant),
            labels.shape[1],
            what,
            name,
            len(labels),
            rows,
            constant[0],
        )


def _check_lengths(table: pd.DataFrame, name: str, length: int | None) -> None:
    if length is not None:
        other = table[table["sequence"].str.len() != length]
        if len(other):
            logger.warning(
                "%d rows of %s are not %d bases long, the first is %s; they are kept.",
                len(other),
                name,
                length,
                other["provenance"].iloc[0],
            )
