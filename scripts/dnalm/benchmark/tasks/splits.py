"""The cross-validation splits of a task table, as row positions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.kinds import BASES, COLUMNS, find_kind
from dnalm.benchmark.tasks.labels import extremes
from dnalm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Split:
    """One of the splits: positions of rows in the task table, ascending.

    `training` and `validation` share no row and together are all training rows of the table.
    """

    fold: int
    training: np.ndarray
    validation: np.ndarray


class Splits:
    """All splits of one task table (columns `label`, `split`, `folds`).

    `folds` lists, for a training row, the splits in which it is validation; so ten folds and ten
    shuffles read alike. `labels` are those of all rows (`label_array`), `test` the positions of the
    test rows, `classes` the number of classes counted over the whole table (multilabel, regression:
    of labels or targets).

    Raises InputError when there is no test row, no split, or a split whose training part holds one
    class only, or labels or targets none of which differs.
    """

    def __init__(self, table: pd.DataFrame, kind: str) -> None:
        traits = find_kind(kind)
        self.labels = traits.stack(table["label"])
        if traits.shape == COLUMNS:
            self.classes = self.labels.shape[1]
        else:
            self.classes = int(self.labels.max(initial=0)) + 1
        split = table["split"].to_numpy()
        self.test: np.ndarray = np.flatnonzero(split == "test")
        train = np.flatnonzero(split == "train")
        if not len(self.test) or not len(train):
            raise InputError(
                f"the task table holds {len(train)} training and {len(self.test)} test rows: "
                "give the task at least one row of each."
            )
        members: dict[int, list[int]] = {}
        for row, folds in zip(train, table["folds"].to_numpy()[train], strict=True):
            for fold in folds:
                members.setdefault(int(fold), []).append(int(row))
        if not members:
            raise InputError(
                "no training row of the task table belongs to a split: make the table again with "
                "`cross_validation.splits` of 2 or more."
            )
        self._splits = [
            Split(fold=fold, training=np.setdiff1d(train, rows), validation=np.array(rows))
            for fold, rows in sorted(members.items())
        ]
        # Of bases two in a row are enough, and of these no split copies the most.
        looked_at = extremes(self.labels) if traits.shape == BASES else self.labels
        for one in self._splits:
            if not traits.varying(looked_at[one.training]).any():
                what = "label" if traits.shape == COLUMNS else "class"
                raise InputError(
                    f"the training part of split {one.fold} holds {len(one.training)} rows of one "
                    f"{what}: give the task more rows or lower `cross_validation.splits`."
                )

    def __iter__(self) -> Iterator[Split]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    @property
    def folds(self) -> list[int]:
        """The numbers of the splits, ascending."""
        return [split.fold for split in self._splits]

    def __getitem__(self, fold: int) -> Split:
        return self._splits[self.folds.index(fold)]
