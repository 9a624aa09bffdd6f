"""Cross-validation folds of a task's training rows, stratified, and test rows held out."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.schemes import KFOLD, SCHEMES, SHUFFLE
from dnalm.errors import InputError
from dnalm.suggestions import check_choice

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True, kw_only=True)
class CrossValidationConfig:
    """How cross-validation folds are made.

    Stratified by class: `kfold`, every row is validation in exactly one split; `shuffle`,
    independent draws, each with `validation_share` of every class as validation.
    Of whole groups, by the column `group`: `grouped`, `leave_one_group_out` and `given`, where the
    groups in `validation` are validation in all `splits`. Other schemes read neither.
    """

    scheme: str
    splits: int
    validation_share: float
    group: str | None
    validation: tuple[str, ...]
    seed: int

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> "CrossValidationConfig":
        """Read a section `cross_validation`; keys that its scheme does not read may be missing."""
        check_choice("cross_validation.scheme", section["scheme"], SCHEMES)
        unread: dict[str, Any] = {"group": None, "validation": ()}
        filled = {**unread, **section}
        return cls(**filled | {"validation": tuple(map(str, filled["validation"]))})


class TooFewSequencesError(InputError):
    """`number` different sequences, of class `label` or (None) of all, are too few."""

    def __init__(self, sentence: str, number: int, label: int | None) -> None:
        super().__init__(sentence)
        self.number, self.label = number, label


def canonical(sequence: str) -> str:
    """Return the canonical form: the smaller of a sequence and its reverse complement."""
    return min(sequence, sequence.translate(COMPLEMENT)[::-1])


def assign_folds(
    sequences: Sequence[str],
    labels: Sequence[int],
    config: CrossValidationConfig,
    *,
    merge: bool = False,
) -> list[list[int]]:
    """Return stratified folds: for each row the sorted splits in which it is validation.

    Sequences that are equal on either strand always share a split. Every class has the same share
    in each split, as far as groups of equal sequences allow. With `merge` the labels are no classes
    but strata: those with fewer different sequences than splits (or than two, of which one can be
    held out) are dealt together.

    Raises TooFewSequencesError when a class has too few different ones for the splits asked for,
    InputError for an unknown scheme and numbers that do not go with it.
    """
    check_choice("cross_validation.scheme", config.scheme, (KFOLD, SHUFFLE))
    if config.splits < 2 and config.scheme == KFOLD:
        raise InputError(f"cross_validation.splits is {config.splits}; k-fold needs at least 2.")
    by_class = _groups_by_class(sequences, labels)
    if merge:
        least = max(2, config.splits)
        by_class = _merged(by_class, least)
        if (number := sum(map(len, by_class.values()))) < least:
            raise TooFewSequencesError(
                f"there are {number} different training sequences, fewer than the "
                f"{least} splits of cross_validation: lower cross_validation.splits.",
                number,
                None,
            )
    folds: list[list[int]] = [[] for _ in sequences]
    if config.scheme == KFOLD:
        _deal(folds, by_class, config)
    else:
        _draw(folds, by_class, config)
    return folds


def _groups_by_class(sequences: Sequence[str], labels: Sequence[int]) -> dict[int, list[list[int]]]:
    """Return, for each class, its groups of row numbers with equal sequences.

    A group whose rows disagree about the label counts for the label of its first row.
    """
    groups: dict[str, list[int]] = {}
    for row, sequence in enumerate(sequences):
        groups.setdefault(canonical(sequence), []).append(row)
    by_class: dict[int, list[list[int]]] = {}
    for rows in groups.values():
        by_class.setdefault(int(labels[rows[0]]), []).append(rows)
    return dict(sorted(by_class.items()))


def _merged(by_class: dict[int, list[list[int]]], least: int) -> dict[int, list[list[int]]]:
    """Return the classes, those of fewer than `least` groups put together.

    Where even together they are too few, they join the class with the most groups.
    """
    rare = [label for label, groups in by_class.items() if len(groups) < least]
    merged = {label: groups for label, groups in by_class.items() if label not in rare}
    together = [rows for label in rare for rows in by_class[label]]
    if len(together) >= least or not merged:
        return merged | ({rare[0]: together} if rare else {})
    largest = max(merged, key=lambda label: len(merged[label]))
    return merged | {largest: merged[largest] + together}


def _deal(
    folds: list[list[int]], by_class: dict[int, list[list[int]]], config: CrossValidationConfig
) -> None:
    """Deal each class's groups, largest first, to the split that holds fewest of that class."""
    random = np.random.default_rng(config.seed)
    totals = [0] * config.splits
    for label, groups in by_class.items():
        if len(groups) < config.splits:
            raise TooFewSequencesError(
                f"Class {label} has {len(groups)} different training sequences, fewer than the "
                f"{config.splits} splits of cross_validation: lower cross_validation.splits.",
                len(groups),
                label,
            )
        shuffled = [groups[i] for i in random.permutation(len(groups))]
        # The second entry keeps whole splits equal in size where the class leaves a choice.
        heap = [(0, totals[fold], fold) for fold in range(config.splits)]
        heapq.heapify(heap)
        for rows in sorted(shuffled, key=len, reverse=True):
            count, total, fold = heapq.heappop(heap)
            for row in rows:
                folds[row].append(fold)
            totals[fold] = total + len(rows)
            heapq.heappush(heap, (count + len(rows), totals[fold], fold))


def _draw(
    folds: list[list[int]], by_class: dict[int, list[list[int]]], config: CrossValidationConfig
) -> None:
    """Draw, for each split anew, groups of each class until the validation share is reached."""
    if not 0 < config.validation_share < 1:
        raise InputError(
            f"cross_validation.validation_share is {config.validation_share}; "
            "it has to lie between 0 and 1."
        )
    for fold in range(config.splits):
        random = np.random.default_rng((config.seed, fold))
        for label, groups in by_class.items():
            wanted = max(1, round(config.validation_share * sum(map(len, groups))))
            taken = 0
            for i in random.permutation(len(groups)):
                if taken and taken + len(groups[i]) > wanted:
                    continue
                for row in groups[i]:
                    folds[row].append(fold)
                taken += len(groups[i])
                if taken >= wanted:
                    break
            if len(groups) < 2 or taken == sum(map(len, groups)):
                raise TooFewSequencesError(
                    f"Class {label} has {len(groups)} different training sequences, too few to "
                    "hold some out for validation: add rows of that class or lower "
                    "cross_validation.validation_share.",
                    len(groups),
                    label,
                )


def hold_out(table: pd.DataFrame, kind: str, share: float, seed: int) -> pd.DataFrame:
    """Return the table with a stratified `share` of its rows as test rows, behind the others.

    Sequences that are equal on either strand stay together. `table` has sequence, label and split.
    Raises InputError when a class has too few different sequences for that.
    """
    section = {"scheme": SHUFFLE, "splits": 1, "validation_share": share, "seed": seed}
    draw = CrossValidationConfig.of(section)
    traits = find_kind(kind)
    dealt, merge = traits.strata(traits.stack(table["label"])).tolist(), not traits.one_class
    try:
        held = assign_folds(table["sequence"].tolist(), dealt, draw, merge=merge)
    except TooFewSequencesError as error:
        of = "" if merge else f" of class {error.label}"
        raise InputError(
            f"{error.number} different sequences{of} are too few to draw a share of {share} of "
            f"them as test rows and to keep some: add rows{of} or change test_share."
        ) from None
    split = np.where([bool(folds) for folds in held], "test", "train")
    return table.assign(split=split).sort_values(
        "split", ascending=False, kind="stable", ignore_index=True
    )
