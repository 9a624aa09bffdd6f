"""Relations between the rows of a task: identical, near-duplicate and overlapping sequences.

Shapes: N rows of a task, G groups of rows whose sequences are equal on either strand.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.benchmark.audit.levels import IDENTICAL, NEAR, NONE, OVERLAP, RELATIONS
from dnalm.benchmark.audit.near_duplicates import NearDuplicateConfig, find_near_duplicates
from dnalm.benchmark.tasks.folds import canonical

COLUMNS = ["relation", "partner", "overlap", "identity", "strand"]


@dataclass(frozen=True, kw_only=True)
class Closest:
    """The closest relation of each row to the rows it is compared with."""

    levels: np.ndarray  # int8 [N], positions in RELATIONS
    partners: np.ndarray  # int64 [N], positions of rows; −1 for none
    overlaps: np.ndarray  # int64 [N], known bases that both share; 0 for none
    identities: np.ndarray  # float64 [N], shares of equal columns; nan for none
    flipped: np.ndarray  # bool [N], whether the partner is to be read on the other strand

    def table(self, ids: np.ndarray) -> pd.DataFrame:
        """Return the columns COLUMNS; `ids` are those of the rows."""
        found = self.partners >= 0
        return pd.DataFrame(
            {
                "relation": np.array(RELATIONS)[self.levels],
                "partner": np.where(found, ids[self.partners], None),
                "overlap": self.overlaps,
                "identity": self.identities,
                "strand": np.where(found, np.where(self.flipped, "-", "+"), None),
            }
        )


class Relations:
    """The related pairs among the N rows of a task, kept once for each two groups of equal rows.

    `groups` [N] numbers rows with equal sequences. Every relation stands in `first`, `second`,
    `level`, `overlap`, `identity` and `flipped` from both sides, and every group with itself.
    """

    def __init__(
        self, sequences: pd.Series, sides: np.ndarray, config: NearDuplicateConfig
    ) -> None:
        """Compare rows; `sides` [N] as for `find_near_duplicates`: folds, or TEST_SIDE."""
        texts = sequences.map(canonical)
        self.reversed = (texts != sequences).to_numpy()  # read on the other strand by `canonical`
        self.groups, unique = pd.factorize(texts)
        held = pd.DataFrame({"group": self.groups, "side": sides}).drop_duplicates()
        self.near_duplicates = find_near_duplicates(
            unique[held["group"]], held["side"].to_numpy(), config
        )
        seeded = np.zeros(len(unique), dtype=bool)
        seeded[held["group"].to_numpy()[self.near_duplicates.compared]] = True
        self.compared = seeded[self.groups]  # [N], the others are too short
        lengths = np.array([len(text) - text.count("N") for text in unique], dtype=np.int32)
        self.pairs = pairs = _pairs_of_groups(
            self.near_duplicates.pairs, held["group"].to_numpy(np.int32)
        )
        one, two = (pairs[name].to_numpy() for name in ("first", "second"))
        share = pairs["overlap"].to_numpy() / np.minimum(lengths[one], lengths[two])
        level = np.where(share >= config.near_share - 1e-9, NEAR, OVERLAP).astype(np.int8)
        # Every pair from both sides, and every group with itself.
        itself = np.arange(len(unique), dtype=np.int32)
        self.first = np.concatenate([one, two, itself])
        self.second = np.concatenate([two, one, itself])
        self.level = np.concatenate([level, level, np.full(len(unique), IDENTICAL, np.int8)])
        self.overlap = np.concatenate([pairs["overlap"], pairs["overlap"], lengths])
        self.identity = np.concatenate(
            [pairs["identity"], pairs["identity"], np.ones(len(unique), np.float32)]
        )
        self.flipped = np.concatenate(
            [pairs["flipped"], pairs["flipped"], np.zeros(len(unique), dtype=bool)]
        )

    def closest(
        self, mine: np.ndarray, others: np.ndarray, parts: np.ndarray | None = None
    ) -> Closest:
        """Return the closest relation of each row of the mask `mine` [N] to rows of `others` [N].

        With `parts` [N], which equal sequences share, only rows of different parts are compared.
        Rows outside of `mine` are related to nothing.
        """
        query_rows, target_rows = self._first_rows(mine), self._first_rows(others)
        keep = (query_rows[self.first] >= 0) & (target_rows[self.second] >= 0)
        if parts is not None:
            keep &= parts[query_rows[self.first]] != parts[target_rows[self.second]]
        pairs = np.flatnonzero(keep)
        # The best pair of a group comes first: the closest level, then the most equal bases.
        equal = self.overlap[pairs] * self.identity[pairs]
        pairs = pairs[np.lexsort((-equal, -self.level[pairs], self.first[pairs]))]
        groups, first = np.unique(self.first[pairs], return_index=True)
        best = np.full(len(query_rows), -1)
        best[groups] = pairs[first]

        pair = np.where(mine, best[self.groups], -1)
        found = pair >= 0
        partners = np.where(found, target_rows[self.second[pair]], -1)
        return Closest(
            levels=np.where(found, self.level[pair], NONE).astype(np.int8),
            partners=partners,
            overlaps=np.where(found, self.overlap[pair], 0).astype(np.int64),
            identities=np.where(found, self.identity[pair], np.nan),
            flipped=found & (self.flipped[pair] ^ self.reversed ^ self.reversed[partners]),
        )

    def within(self, mask: np.ndarray) -> np.ndarray:
        """Return the closest level of each row of a mask to its other rows, [N]; 0 for the rest."""
        sizes = np.bincount(self.groups[mask], minlength=self.groups.max(initial=-1) + 1)
        levels = np.where(sizes > 1, IDENTICAL, NONE)
        keep = (self.level < IDENTICAL) & (sizes[self.first] > 0) & (sizes[self.second] > 0)
        np.maximum.at(levels, self.first[keep], self.level[keep])
        return np.where(mask, levels[self.groups], NONE)

    def _first_rows(self, mask: np.ndarray) -> np.ndarray:
        """Return the first row of each group that the mask holds [G], −1 for none."""
        rows = np.flatnonzero(mask)
        groups, first = np.unique(self.groups[rows], return_index=True)
        result = np.full(self.groups.max(initial=-1) + 1, -1)
        result[groups] = rows[first]
        return result


def _pairs_of_groups(pairs: pd.DataFrame, groups: np.ndarray) -> pd.DataFrame:
    """Return pairs of sequences as pairs of groups, in order, each once and none with itself."""
    one, two = groups[pairs["first"]], groups[pairs["second"]]
    named = pairs.assign(first=np.minimum(one, two), second=np.maximum(one, two))
    named = named[one != two]
    equal = -named["overlap"] * named["identity"]
    named = named.iloc[np.lexsort((equal, named["second"], named["first"]))]
    return named.drop_duplicates(["first", "second"], ignore_index=True)
