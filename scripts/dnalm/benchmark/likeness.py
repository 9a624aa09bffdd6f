"""Pairs of sequences that are near duplicates or overlapping windows of one place, either strand.

Two sequences are laid over each other where they share a least hash. They are alike when the whole
part in which both lie agrees: two windows of one place do so, two windows that hold copies of one
repeat do not, because their flanks differ.

Shapes: R sequences, S seeds, K different seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.benchmark.minhash import Seeds, Sequences, find_seeds
from dnalm.benchmark.overlay import REPEATED, Index, Rules, compare
from dnalm.benchmark.tandem import find_tandems

ROWS_AT_ONCE = 4096
COLUMNS = {
    "first": "int32",
    "second": "int32",
    "overlap": "int32",
    "identity": "float32",
    "flipped": "bool",
}


@dataclass(frozen=True, kw_only=True)
class LikenessConfig:
    """What counts as alike, and how candidates are found.

    k, window: of the seeds (`find_seeds`); a stretch of k + window − 1 equal bases is always found.
    most_places: a seed at more places than this is a repeat. Repeats are followed only where a
        sequence shares nothing else, its rarest one, to so many places.
    min_identity: share of columns that agree in the part where both sequences lie. Columns with an
        N in either sequence are left out, here and below.
    min_overlap: columns of that part, unless it is so much of a shorter sequence that the two are
        near duplicates.
    near_share: share of the known bases of the shorter sequence from which on they are that.
    Outside of tandem repeats of short units min_overlap columns have to agree as well, or a quarter
    of a shorter sequence: two ends of CACACA make no windows of one place.
    """

    k: int
    window: int
    most_places: int
    min_identity: float
    min_overlap: int
    near_share: float


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Pairs (columns `COLUMNS`), and how many different seeds there were and were repeats."""

    pairs: pd.DataFrame
    seeds: int
    repeats: int


def find_alike(sequences: Sequence[str], config: LikenessConfig) -> Likeness:
    """Return the pairs of sequences that overlap and agree.

    Of a pair, `first` < `second` are positions in `sequences`, `overlap` the columns of the
    alignment of the part in which both lie, without those with an N, `identity` the share of these
    that agree, `flipped` whether one of the two is to be read on the other strand. Insertions and
    deletions of up to ten bases in all are followed where seeds lie on either side of them. Pairs
    come in order.
    """
    packed = Sequences.of(sequences)
    index = _index(find_seeds(packed, config.k, config.window), len(sequences), config.most_places)
    rules = Rules(config.min_identity, config.min_overlap, config.near_share)
    codes = packed.codes | find_tandems(packed.codes, packed.starts) * np.uint8(REPEATED)
    parts = [
        compare(
            *(start, min(start + ROWS_AT_ONCE, len(sequences)), codes, packed.starts),
            *(packed.known, index, config.k, rules),
        )
        for start in range(0, len(sequences), ROWS_AT_ONCE)
    ]
    columns = zip(*parts, strict=True) if parts else [[] for _ in COLUMNS]
    pairs = pd.DataFrame(
        {
            name: np.concatenate([np.empty(0, dtype=kind), *values]).astype(kind)
            for (name, kind), values in zip(COLUMNS.items(), columns, strict=True)
        }
    )
    if (pairs["first"] > pairs["second"]).any():  # by a repeat, from the later one or from both
        ordered = np.sort(pairs[["first", "second"]].to_numpy(), axis=1)
        pairs = pairs.assign(first=ordered[:, 0], second=ordered[:, 1])
        pairs = pairs.sort_values(["first", "second"]).drop_duplicates(["first", "second"])
        pairs = pairs.reset_index(drop=True)
    return Likeness(pairs=pairs, seeds=len(index.followed), repeats=int((~index.followed).sum()))


def _index(seeds: Seeds, rows: int, most_places: int) -> Index:
    _, numbers, counts = np.unique(seeds.kmers, return_inverse=True, return_counts=True)
    return Index(
        rows=seeds.rows,
        places=seeds.places,
        flipped=seeds.flipped,
        limits=np.searchsorted(seeds.rows, np.arange(rows + 1)),
        numbers=numbers,
        order=np.argsort(numbers, kind="stable"),
        begins=np.concatenate(([0], np.cumsum(counts))),
        followed=counts <= most_places,
        most_places=most_places,
    )
