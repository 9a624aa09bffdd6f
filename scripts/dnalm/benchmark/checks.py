"""What a task's files and its table have to be before anything is computed from them."""

import logging
from collections.abc import Mapping, Sequence

import pandas as pd

from dnalm.benchmark.inventory import SPLITS, name_files
from dnalm.benchmark.labelled import refuse_folder
from dnalm.errors import InputError
from dnalm.files import sha256_of

logger = logging.getLogger(__name__)


def check_sums(files: Mapping[str, Sequence[str]], sums: Mapping[str, str], name: str) -> None:
    """Raise InputError when a split's file is not the one whose sha256 the task gives."""
    for split, expected in sums.items():
        if len(files[split]) > 1:
            raise InputError(
                f"Task {name} has {len(files[split])} {split} files and one sha256 for them: "
                f"put them into one file or leave sha256.{split} out."
            )
        refuse_folder(files[split][0])
        found = sha256_of(files[split][0])
        if found != expected:
            raise InputError(
                f"{files[split][0]} has the sha256 {found}, but task {name} expects {expected}: "
                f"fetch the file again or correct sha256.{split} of the task."
            )


def check_table(
    table: pd.DataFrame,
    name: str,
    classes: int,
    length: int | None,
    files: Mapping[str, Sequence[str]],
) -> None:
    """Raise InputError unless each split has rows of every class; warn of other lengths."""
    for split in SPLITS:
        labels = table.loc[table["split"] == split, "label"]
        origin = name_files(files, split)
        if labels.empty:
            raise InputError(
                f"Task {name} has no {split} rows ({origin}): give it a {split} file with rows "
                "or, for a task with `build:`, other test_contigs."
            )
        if missing := sorted(set(range(classes)) - set(labels)):
            raise InputError(
                f"Task {name} has {classes} classes, but none of its {len(labels)} {split} rows "
                f"({origin}) is of class {missing[0]}: add rows of it, lower `classes`, or "
                "correct what gives the class numbers (`labels` or, for a task with `build:`, "
                "labels_by_name, labels_by_kind or test_contigs)."
            )
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
