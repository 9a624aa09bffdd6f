"""How closely a row of a task is related to others, in words and in order."""

from typing import NamedTuple

import pandas as pd

# From distant to close; a row's relation to a set of rows is its closest one.
RELATIONS = ("none", "overlap", "near", "identical")
NONE, OVERLAP, NEAR, IDENTICAL = range(4)


class Rules(NamedTuple):
    """Which pairs of sequences are related, as in LikenessConfig."""

    min_identity: float
    min_overlap: int
    near_share: float


def at_least(relation: pd.Series, least: str) -> pd.Series:
    """Return whether relations are as close as `least`, one of RELATIONS, or closer."""
    return relation.map(RELATIONS.index) >= RELATIONS.index(least)
