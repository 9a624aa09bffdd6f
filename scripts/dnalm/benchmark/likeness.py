"""Pairs of sequences that are near duplicates or overlapping windows of one place, either strand.

Two sequences are laid over each other where they share a least hash. They are alike when the whole
part in which both lie agrees: two windows of one place do so, two windows that hold copies of one
repeat do not, because their flanks differ.

Shapes: R sequences.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.benchmark.candidates import (
    OTHERS,
    OWN,
    UNASKED,
    Index,
    Sides,
    count_hits,
    make_index,
    rare_hits,
    repeat_hits,
)
from dnalm.benchmark.levels import Rules
from dnalm.benchmark.minhash import Sequences, count_known, find_seeds
from dnalm.benchmark.overlay import ENOUGH, PLENTY, REPEATED, compare
from dnalm.benchmark.tandem import find_tandems

TEST = -1  # the side of test rows
HITS_AT_ONCE = 1 << 21  # what is held of the work that lies ahead
LINE_SECONDS = 60

log = logging.getLogger(__name__)

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
    most_places: a seed at more places than this is a repeat. Where a sequence has few near
        duplicates yet, so many places of its rarest repeats are followed beyond its side, and as
        many within.
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


def find_alike(sequences: Sequence[str], sides: np.ndarray, config: LikenessConfig) -> Likeness:
    """Return the pairs of sequences that overlap and agree.

    `sides` [R] are the folds of training rows, from 0, and TEST for test rows. For every sequence
    relations are sought within its side and beyond it: of test rows to training rows, of training
    rows to those of other folds. Where sequences share rare seeds, all are found; where only
    repeats, a sample, of each sequence on its own account, whatever their order.

    Of a pair, `first` < `second` are positions in `sequences`, `overlap` the columns of the
    alignment of the part in which both lie, without those with an N, `identity` the share of these
    that agree, `flipped` whether one of the two is to be read on the other strand. Insertions and
    deletions of up to ten bases in all are followed where seeds lie on either side of them. Pairs
    come in order.
    """
    sides = np.asarray(sides, dtype=np.int64)
    test = sides.max(initial=TEST) + 1
    sides = np.where(sides == TEST, test, sides)
    hashes = pd.util.hash_array(np.array([*sequences, ""], dtype=object))[:-1]
    order = np.lexsort((hashes, sides))
    packed = Sequences.of([sequences[row] for row in order])
    bounds = np.searchsorted(sides[order], np.arange(test + 2))
    parts, index = _search(packed, Sides(sides[order], bounds, test), config)
    return Likeness(
        pairs=_pairs(parts, order),
        seeds=len(index.followed),
        repeats=int((~index.followed).sum()),
    )


def _search(
    packed: Sequences, sides: Sides, config: LikenessConfig
) -> tuple[list[tuple[np.ndarray, ...]], Index]:
    """Return the columns of the pairs, in parts, and the index of seeds; sequences are by sides."""
    seeds, known = find_seeds(packed, config.k, config.window), packed.known
    most = min(config.most_places, len(seeds.rows) + 1)
    index = make_index(seeds, packed.starts, config.k, most)
    rules = Rules(config.min_identity, config.min_overlap, config.near_share)
    codes = packed.codes | find_tandems(packed.codes, packed.starts) * np.uint8(REPEATED)
    near = np.zeros((len(known), 3), dtype=np.int64)
    near[:, UNASKED] = PLENTY
    telling = count_known(codes, packed.starts)
    shared = near, packed._replace(codes=codes), telling, index, sides, rules

    counts = count_hits(index)
    part = np.cumsum(counts) // HITS_AT_ONCE
    parts = []
    for rows in _watched(_runs(part), "seeds"):
        hits, limits = rare_hits(rows, counts[rows].sum(), index)
        parts.append(compare(rows, hits, limits, False, *shared))
    for rows in _watched(_runs(np.arange(len(known)) // (HITS_AT_ONCE // most + 1)), "repeats"):
        for circle in (OTHERS, OWN):
            open_rows = rows[near[rows, circle] < ENOUGH]
            hits, limits = repeat_hits(open_rows, circle, most, index, sides)
            parts.append(compare(open_rows, hits, limits, True, *shared))
    return parts, index


def _runs(parts: np.ndarray) -> list[np.ndarray]:
    """Return the positions of each run of equal numbers, in order."""
    return np.split(np.arange(len(parts)), np.flatnonzero(np.diff(parts)) + 1) if len(parts) else []


def _watched(runs: list[np.ndarray], what: str) -> Iterator[np.ndarray]:
    """Yield runs of rows; a line a minute says how many are done."""
    line = time.monotonic() + LINE_SECONDS
    for rows in runs:
        yield rows
        if time.monotonic() >= line:
            line = time.monotonic() + LINE_SECONDS
            log.info("%d of %d sequences are compared by %s", rows[-1] + 1, runs[-1][-1] + 1, what)


def _pairs(parts: list[tuple[np.ndarray, ...]], order: np.ndarray) -> pd.DataFrame:
    """Return the pairs in order, each once, the better of two findings; `order` names sequences."""
    columns = zip(*parts, strict=True) if parts else [[] for _ in COLUMNS]
    pairs = {
        name: np.concatenate([np.empty(0, dtype=kind), *values]).astype(kind, copy=False)
        for (name, kind), values in zip(COLUMNS.items(), columns, strict=True)
    }
    one, two = order[pairs["first"]], order[pairs["second"]]
    pairs["first"] = np.minimum(one, two).astype("int32")
    pairs["second"] = np.maximum(one, two).astype("int32")
    equal = -pairs["overlap"] * pairs["identity"]
    table = pd.DataFrame(pairs).iloc[np.lexsort((equal, pairs["second"], pairs["first"]))]
    return table.drop_duplicates(["first", "second"], ignore_index=True)
