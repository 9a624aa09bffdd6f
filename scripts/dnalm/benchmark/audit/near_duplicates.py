"""Near duplicates and overlapping windows among sequences, by seed-and-extend, on either strand.

Seeds are minimizers; around a shared one two sequences are aligned end to end of the part in which
both lie. The pair counts when this whole part agrees: two windows of one place do so, two windows
that hold copies of one repeat do not, because their flanks differ.

Shapes: R sequences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.benchmark.audit.levels import Thresholds
from dnalm.benchmark.audit.minimizers import Sequences, count_known, find_minimizers
from dnalm.benchmark.audit.seed_alignment import (
    ENOUGH_NEAR_DUPLICATES,
    MAX_NEAR_DUPLICATES,
    REPEAT_BIT,
    extend_hits,
)
from dnalm.benchmark.audit.seed_index import (
    NOT_COMPARED,
    OTHER_SIDES,
    OWN_SIDE,
    Index,
    Sides,
    count_hits,
    make_index,
    rare_hits,
    repeat_hits,
)
from dnalm.benchmark.audit.tandem_repeats import find_tandem_repeats
from dnalm.jobs.progress import progress

TEST_SIDE = -1  # the side of test rows
SHORT_K = (15, 11, 7)  # k of the seeds of short sequences, of which every k-mer is one
# A sequence is short when it has less than so many times the stretch that is always found.
SHORT_STRETCHES = 3
MAX_HITS_AT_ONCE = 1 << 21  # hits in memory, 16 MB, before they are extended

COLUMNS = {
    "first": "int32",
    "second": "int32",
    "overlap": "int32",
    "identity": "float32",
    "flipped": "bool",
}


@dataclass(frozen=True, kw_only=True)
class NearDuplicateConfig:
    """Thresholds of related pairs and the settings of the minimizers that find them.

    k, window: of the minimizers (`find_minimizers`); a stretch of k + window − 1 equal bases is
        always found. Sequences of less than three times this stretch are compared again with each
        other, by ever smaller seeds, until it is a third of them or seven bases.
    most_places: a seed at more places than this is a repeat. Where a sequence has few near
        duplicates yet, so many places of its rarest repeats are followed beyond its side, and as
        many within.
    min_identity: share of alignment columns that agree, 0 to 1, in the part where both sequences
        lie. Columns with an N in either sequence are left out, here and below.
    min_overlap: columns of that part, unless it is so much of a shorter sequence that the two are
        near duplicates.
    near_share: share of the known bases of the shorter sequence, 0 to 1, from which on they are
        near duplicates.
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
class NearDuplicates:
    """Related pairs of R sequences, near duplicates and overlaps, and what they were found by.

    pairs: columns `COLUMNS`, as `find_near_duplicates` describes them.
    seeds, repeats: how many different seeds there were, and how many of them were repeats.
    compared: bool [R], whether a sequence has a seed left wherever one base differs; others are too
        short for that.
    """

    pairs: pd.DataFrame
    seeds: int
    repeats: int
    compared: np.ndarray


def find_near_duplicates(
    sequences: Sequence[str], sides: np.ndarray, config: NearDuplicateConfig
) -> NearDuplicates:
    """Return the near duplicates and overlapping pairs among sequences, by seed-and-extend.

    `sides` [R] are the folds of training rows, from 0, and TEST_SIDE for test rows. For every
    sequence relations are sought within its side and beyond it: of test rows to training rows, of
    training rows to those of other folds. Where sequences share rare seeds, all are found; where
    only repeats, a sample, of each sequence on its own account, whatever their order.

    Of a pair, `first` < `second` are 0-based positions in `sequences`, `overlap` the columns of the
    alignment of the part in which both lie, without those with an N, `identity` the share of these
    that agree, `flipped` whether one of the two is to be read on the other strand. Insertions and
    deletions of up to ten bases in all are followed where seeds lie on either side of them. Pairs
    come in order.
    """
    sides = np.asarray(sides, dtype=np.int64)
    test = sides.max(initial=TEST_SIDE) + 1
    sides = np.where(sides == TEST_SIDE, test, sides)
    # Within a side in the order of hashes, so that the sample of repeats does not follow the rows'.
    hashes = pd.util.hash_array(np.array([*sequences, ""], dtype=object))[:-1]
    order = np.lexsort((hashes, sides))
    texts, sides = [sequences[row] for row in order], sides[order]
    known = Sequences.of(texts).known
    near_counts = np.zeros((len(texts), 3), dtype=np.int64)
    near_counts[:, NOT_COMPARED] = MAX_NEAR_DUPLICATES  # nothing is sought for them
    found, seeds, repeats, compared = [], 0, 0, np.zeros(len(texts), dtype=bool)
    for rows, k, window in _rounds(known, config):
        packed = Sequences.of([texts[row] for row in rows])
        bounds = np.searchsorted(sides[rows], np.arange(test + 2))
        own = near_counts[rows]
        parts, index = _search(packed, Sides(sides[rows], bounds, test), own, k, window, config)
        found += [(rows[one], rows[two], *others) for one, two, *others in parts]
        seeds += len(index.rare)
        repeats += int((~index.rare).sum())
        compared[order[rows[index.rows]]] = True  # those with a seed
        near_counts[rows] = own
    # Shorter than two seeds, one replaced base may leave none.
    compared[order[known < 2 * SHORT_K[-1]]] = False
    pairs = _pairs(found, order)
    return NearDuplicates(pairs=pairs, seeds=seeds, repeats=repeats, compared=compared)


def _rounds(
    known: np.ndarray, config: NearDuplicateConfig
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield the rows of each round of seeding, first all, and k and window of its seeds."""
    yield np.arange(len(known)), config.k, config.window
    stretch = config.k + config.window - 1
    for k in SHORT_K:
        rows = np.flatnonzero(known < SHORT_STRETCHES * stretch)
        if k < stretch and len(rows):
            yield rows, k, 1
            stretch = k


def _search(
    packed: Sequences,
    sides: Sides,
    near_counts: np.ndarray,
    k: int,
    window: int,
    config: NearDuplicateConfig,
) -> tuple[list[tuple[np.ndarray, ...]], Index]:
    """Return the columns of the pairs, in parts, and the index of seeds.

    `near_counts` [R, 3], the near duplicates of each sequence by comparison group, is added to.
    """
    seeds, rows = find_minimizers(packed, k, window), np.arange(len(packed.known))
    most = min(config.most_places, len(seeds.rows) + 1)
    index = make_index(seeds, packed.starts, k, most)
    thresholds = Thresholds(config.min_identity, config.min_overlap, config.near_share)
    codes = packed.codes | find_tandem_repeats(packed.codes, packed.starts) * np.uint8(REPEAT_BIT)
    # With its repeat bit a code is 8 or more: what is counted as known lies outside of repeats.
    informative = count_known(codes, packed.starts)
    shared = near_counts, packed._replace(codes=codes), informative, index, sides, thresholds

    counts, parts = count_hits(index), []
    for some in _watched(_runs(np.cumsum(counts) // MAX_HITS_AT_ONCE), "seeds"):
        hits, bounds = rare_hits(some, counts[some].sum(), index)
        parts.append(extend_hits(some, hits, bounds, False, *shared))
    for some in _watched(_runs(rows // (MAX_HITS_AT_ONCE // most + 1)), "repeats"):
        for group in (OTHER_SIDES, OWN_SIDE):
            wanting = some[near_counts[some, group] < ENOUGH_NEAR_DUPLICATES]
            hits, bounds = repeat_hits(wanting, group, most, index, sides)
            parts.append(extend_hits(wanting, hits, bounds, True, *shared))
    return parts, index


def _runs(parts: np.ndarray) -> list[np.ndarray]:
    """Return the positions of each run of equal numbers, in order."""
    return np.split(np.arange(len(parts)), np.flatnonzero(np.diff(parts)) + 1) if len(parts) else []


def _watched(runs: list[np.ndarray], what: str) -> Iterator[np.ndarray]:
    """Return the runs of rows, whose progress is told."""
    total = sum(map(len, runs))
    return progress(runs, f"compare by {what}", "sequences", total, size=len)


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
