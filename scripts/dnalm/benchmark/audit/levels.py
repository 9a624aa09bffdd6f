"""Levels of relation between sequences, from none to identical, and the thresholds between them."""

from typing import NamedTuple

import pandas as pd

# From distant to close; a row's relation to a set of rows is its closest one. `near` are near
# duplicates, `overlap` windows that share a part.
RELATIONS = ("none", "overlap", "near", "identical")
NONE, OVERLAP, NEAR, IDENTICAL = range(4)


class Thresholds(NamedTuple):
    """Thresholds of related pairs, as in NearDuplicateConfig."""

    min_identity: float
    min_overlap: int
    near_share: float


def at_least(relation: pd.Series, minimum: str) -> pd.Series:
    """Return a mask of relations that are as close as `minimum`, one of RELATIONS, or closer."""
    return relation.map(RELATIONS.index) >= RELATIONS.index(minimum)
