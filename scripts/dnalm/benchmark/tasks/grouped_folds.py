"""Folds of whole groups of rows: leave-one-group-out, group k-fold, a given validation set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.tasks.folds import CrossValidationConfig
from dnalm.benchmark.tasks.kinds import BASES, CLASS, Kind
from dnalm.benchmark.tasks.labels import MISSING_TEXTS, MISSING_UNLESS_MAPPED, NO_LABEL
from dnalm.benchmark.tasks.row_files import SEPARATORS, find_format, to_text
from dnalm.benchmark.tasks.schemes import GIVEN, GROUPED, LEAVE_ONE_GROUP_OUT
from dnalm.benchmark.tasks.table_cells import read_cells
from dnalm.errors import InputError
from dnalm.suggestions import listing, nearest_first

# The group of rows of validation files, and of no other: cells have lost blanks before a letter.
HELD_OUT = " of validation files"
DEFAULT_VALIDATION = "validation"  # what config.yaml names, whether a task has such a group or not
WHOLE = re.compile(r"(-?[0-9]+)\.0+")  # as pandas writes whole numbers where one is missing
MAX_NAMED = 100  # groups that a task's summary lists


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """For each row the sorted splits in which it is validation, and what each split holds out.

    `groups` are the names of the groups by split, none where a validation set was given.
    """

    folds: list[list[int]]
    groups: dict[int, list[str]]


def read_groups(path: str, form: str, column: str) -> list[str]:
    """Return a column of a file of labelled rows as texts, in their order; "" is missing.

    A whole number has one name, whether it is written 1 or 1.0. Raises InputError where there is no
    such column, as in FASTA, or its cells are lists.
    """
    kind = find_format(path, form)
    if kind == "fasta":
        raise InputError(
            f"{path} is FASTA, which has no column {column!r}: give a table, or another "
            "cross_validation.scheme."
        )
    if kind == "parquet":
        _check_column(path, column, pq.read_schema(path).names)
        stored = pq.read_table(path, columns=[column], use_pandas_metadata=False)
        if pa.types.is_nested(stored.schema.field(column).type):
            raise InputError(
                f"{path}: the column {column!r} holds lists or structures, and each row is of one "
                "group: set cross_validation.group to another column."
            )
        values = stored.to_pandas(ignore_metadata=True, integer_object_nulls=True)[column]
        return ["" if pd.isna(value) else _name(to_text(value)) for value in values]
    rows = read_cells(path, SEPARATORS[kind])
    _, header = next(rows)
    _check_column(path, column, header)
    place = header.index(column)
    return [_name(cells[place]) for _, cells in rows]


def _name(cell: str) -> str:
    """Return the group that a cell names, "" where it is missing."""
    text = cell.strip()
    if text.lower() in MISSING_TEXTS | MISSING_UNLESS_MAPPED:
        return ""
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _check_column(path: str, column: str, header: Sequence[str]) -> None:
    if header.count(column) != 1:
        raise InputError(
            f"{path} has {header.count(column) or 'no'} column{'s' * (column in header)} "
            f"{column!r}, its columns are {listing(map(repr, nearest_first(column, header)))}: set "
            "cross_validation.group to one of them."
        )


def assign_groups(
    groups: Sequence[str], places: Sequence[str], config: CrossValidationConfig
) -> Dealt:
    """Return the folds of training rows whose groups are given; no group is in two of them.

    grouped: group k-fold, the largest group first to the split that holds fewest rows, as
    scikit-learn's GroupKFold. leave_one_group_out: a split for each group, by their names. given:
    rows of the groups `config.validation` and of `HELD_OUT` are validation in every split, which
    differ in their seeds alone. `places` name the rows in errors.

    Raises InputError for a row without a group, a group of `config.validation` that no row has, and
    where a split would have no row to train on or to validate with.
    """
    if config.scheme == GIVEN and config.group is None:  # there are validation files alone
        return _repeat(groups, config)
    missing = [place for group, place in zip(groups, places, strict=True) if not group]
    if missing:
        raise InputError(
            f"{missing[0]} has no value in the column {config.group!r}, by which "
            "cross_validation.group deals rows to splits: fill it in or leave the row out."
        )
    if config.scheme == GIVEN:
        return _repeat(groups, config)
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    alone = config.scheme == LEAVE_ONE_GROUP_OUT
    splits = len(members) if alone else config.splits
    if len(members) < max(2, splits):
        wanted = "2, one to leave out and one to train on" if alone else f"the {splits} splits"
        remedy = "give rows of more groups" if alone else "lower cross_validation.splits"
        raise InputError(
            f"the training rows are of {len(members)} groups ({listing(sorted(members))}) by the "
            f"column {config.group!r}, fewer than {wanted} of cross_validation: {remedy}, or take "
            "another column."
        )
    dealt: dict[int, list[str]] = {fold: [] for fold in range(splits)}
    sizes = [0] * splits
    largest_first = sorted(members, key=lambda name: (-len(members[name]), name))
    for place, name in enumerate(sorted(members) if alone else largest_first):
        fold = place if alone else int(np.argmin(sizes))
        dealt[fold].append(name)
        sizes[fold] += len(members[name])
    of_group = {name: fold for fold, names in dealt.items() for name in names}
    return Dealt(folds=[[of_group[group]] for group in groups], groups=dealt)


def _repeat(groups: Sequence[str], config: CrossValidationConfig) -> Dealt:
    present = set(groups)
    wanted = {_name(name) for name in config.validation} | {HELD_OUT}
    held = [group in wanted for group in groups]
    found = listing(sorted(repr(group.strip()) for group in present))
    if not any(held) or all(held):
        raise InputError(
            f"{'all' if any(held) else 'none'} of the {len(groups)} training rows are of the given "
            f"validation set (their groups: {found}): correct "
            f"cross_validation.validation, which is {listing(map(repr, config.validation))}, or "
            "name `validation` files of the task."
        )
    lacking = sorted(wanted - present - {HELD_OUT})
    if HELD_OUT in present or config.group is None:
        lacking = [name for name in lacking if name != DEFAULT_VALIDATION]
    if lacking:
        raise InputError(
            f"no training row is of the group {lacking[0]!r} of cross_validation.validation (their "
            f"groups: {found}): correct or remove it."
        )
    every = list(range(config.splits))
    return Dealt(folds=[every if own else [] for own in held], groups={})


def check_parts(labels: np.ndarray, dealt: Dealt, kind: Kind, classes: int) -> None:
    """Raise InputError where the training or validation part of a split lacks a class.

    Of other kinds at least one label or target has to differ in every part. `labels` are those of
    the training rows.
    """
    for fold in sorted({fold for own in dealt.folds for fold in own}):
        held = np.array([fold in own for own in dealt.folds])
        of = f" (which holds out {listing(dealt.groups[fold])})" if dealt.groups else ""
        for part, rows in (("training", ~held), ("validation", held)):
            lacking = _find_lacking(labels[rows], kind, classes)
            if lacking:
                raise InputError(
                    f"the {part} part of split {fold}{of} has {rows.sum()} rows, {lacking}: take "
                    "other groups or fewer splits, or another cross_validation.scheme."
                )


def _find_lacking(labels: np.ndarray, kind: Kind, classes: int) -> str:
    """Return in words what a part lacks, "" where it lacks nothing."""
    if kind.value == CLASS:
        missing = set(range(classes)) - set(np.unique(labels[labels != NO_LABEL]).tolist())
        unit = "base" if kind.shape == BASES else "row"
        return f"and no {unit} of class {min(missing)}" if missing else ""
    return "" if kind.varying(labels).any() else f"in which no {kind.unit} differs"


def describe_folds(dealt: Dealt, config: CrossValidationConfig) -> dict[str, Any]:
    """Return what a task's summary says of its splits.

    `groups` are the names of the groups that each split holds out, where there are not too many.
    """
    named = list(dealt.groups.values())
    few = sum(map(len, named)) <= MAX_NAMED
    return {
        "scheme": config.scheme,
        "splits": len({fold for own in dealt.folds for fold in own}),
        "group": config.group,
        "groups": named if named and few else None,
    }


def is_grouped(config: CrossValidationConfig) -> bool:
    """Return whether the scheme deals whole groups of rows."""
    return config.scheme in GROUPED
