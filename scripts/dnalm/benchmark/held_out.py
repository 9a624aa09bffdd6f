"""Test rows of a task whose rows come without a split."""

import numpy as np
import pandas as pd

from dnalm.benchmark.folds import CrossValidationConfig, TooFewSequencesError, assign_folds
from dnalm.benchmark.labels import CLASSES, label_array, strata
from dnalm.errors import InputError


def hold_out(table: pd.DataFrame, kind: str, share: float, seed: int) -> pd.DataFrame:
    """Return the table with `share` of its rows, class by class, as test rows behind the others.

    Sequences that are equal on either strand stay together. `table` has sequence, label and split.
    Raises InputError when a class has too few different sequences for that.
    """
    draw = CrossValidationConfig(scheme="shuffle", splits=1, validation_share=share, seed=seed)
    dealt = strata(label_array(table, kind), kind).tolist()
    merge = kind not in CLASSES
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
