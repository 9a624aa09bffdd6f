"""The most probable bases of a class, which are all that top-k accuracy of bootstrap draws takes.

Top-k accuracy of a draw of rows: of the k most probable bases of these rows, k the number of their
true ones, the share that is true. Shapes: R rows, B bases, E entries, N draws.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Numbers of one array of draws and entries.
NUMBERS_AT_ONCE = 1 << 22
# Of bases in a row of their own: those that come in, beside the best, before these are sorted out.
PENDING = 1 << 18

# Rows, int [B], whether the class is true, bool [B], and its probabilities, float32 [B].
Bases = tuple[NDArray[np.integer], NDArray[np.bool_], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class TopBases:
    """The most probable bases of a class; `complete` where these are all bases.

    An entry [E] is of the bases of one row that are equally probable: `rows` int32, how many there
    are (`sizes`) and how many of them are true (`true`), int32. Entries descend by probability;
    `starts` are the first ones of each probability. `sites` float64 [R] are all true bases of rows.
    """

    rows: NDArray[np.int32]
    sizes: NDArray[np.int32]
    true: NDArray[np.int32]
    starts: NDArray[np.int64]
    sites: NDArray[np.float64]
    complete: bool

    def select(self, chosen: NDArray[np.bool_]) -> "TopBases":
        """Return the bases of some rows [R], numbered anew."""
        kept = chosen[self.rows]
        groups = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(kept)))
        groups = groups[kept]
        return TopBases(
            rows=(np.cumsum(chosen) - 1).astype(np.int32)[self.rows[kept]],
            sizes=self.sizes[kept],
            true=self.true[kept],
            starts=np.flatnonzero(np.diff(groups, prepend=-1)),
            sites=self.sites[chosen],
            complete=self.complete,
        )

    def shares(self, draws: np.ndarray) -> NDArray[np.float64] | None:
        """Return the top-k accuracy of draws, how often each row was drawn [N, R], as float64 [N].

        It is nan where no true base was drawn. Of equally probable bases, of which not all are
        among the k, their own share of true ones counts. None where what is kept is not enough.
        """
        at_once = max(1, NUMBERS_AT_ONCE // max(len(self.rows), 1))
        found = []
        for first in range(0, len(draws), at_once):
            part = self._shares(draws[first : first + at_once].astype(np.float64))
            if part is None:
                return None
            found.append(part)
        return np.concatenate(found)

    def _shares(self, draws: NDArray[np.float64]) -> NDArray[np.float64] | None:
        wanted = draws @ self.sites
        ends = np.append(self.starts[1:], len(self.rows))
        # So many of the best entries are enough for most draws.
        size = 2 * int(wanted.max()) + 1
        while True:
            groups = min(int(np.searchsorted(ends, size)) + 1, len(ends))
            stop = ends[groups - 1] if groups else 0
            drawn = draws[:, self.rows[:stop]]
            counted = _cumulated(drawn * self.sizes[:stop], self.starts[:groups])
            if (counted[:, -1] >= wanted).all():
                break
            if groups == len(ends):
                if self.complete:
                    break
                return None
            size *= 2
        true = _cumulated(drawn * self.true[:stop], self.starts[:groups])
        # Whole numbers up to the group that is taken in part: no order of sums rounds them.
        whole = (counted[:, 1:] <= wanted[:, None]).sum(axis=1)
        draw, behind = np.arange(len(draws)), np.minimum(whole + 1, counted.shape[1] - 1)
        hits, left = true[draw, whole], wanted - counted[draw, whole]
        size_behind = counted[draw, behind] - counted[draw, whole]
        true_behind = true[draw, behind] - hits
        hits = hits + np.divide(
            left * true_behind, size_behind, out=np.zeros(len(draws)), where=size_behind > 0
        )
        return np.divide(hits, wanted, out=np.full(len(draws), np.nan), where=wanted > 0)


def _cumulated(numbers: NDArray[np.float64], starts: np.ndarray) -> NDArray[np.float64]:
    """Return the sums [N, 1 + groups] of entries [N, E] before and behind each group."""
    if len(starts) < numbers.shape[1]:
        numbers = np.add.reduceat(numbers, starts, axis=1)
    found = np.zeros((len(numbers), numbers.shape[1] + 1))
    np.cumsum(numbers, axis=1, out=found[:, 1:])
    return found


def find_top_bases(
    read: Callable[[], Iterator[Bases]], sites: NDArray[np.integer], size: int
) -> TopBases:
    """Return the `size` most probable bases of what `read` yields, and all as probable as the last.

    `sites` [R] are the true bases of each row. Memory is that of a block and of the bases that are
    kept, 16 bytes each, of which the equally probable ones of one row count once.
    """
    best = _Best(size)
    for rows, true, probabilities in read():
        best.add(rows, true, probabilities)
    best.sort_out()
    keys = best.keys[::-1]
    return TopBases(
        rows=(keys & 0xFFFFFFFF).astype(np.int32),
        sizes=best.sizes[::-1],
        true=best.true[::-1],
        starts=np.flatnonzero(np.diff((keys >> 32).astype(np.int64), prepend=-1)),
        sites=sites.astype(np.float64),
        complete=best.complete,
    )


class _Best:
    """The best of all bases so far. A key, uint64, is a probability's rank and below it the row."""

    def __init__(self, size: int) -> None:
        self.size, self.complete = size, True
        self.keys = np.empty(0, dtype=np.uint64)
        self.sizes = self.true = np.empty(0, dtype=np.int32)
        self._least = np.uint64(0)  # key from which on bases still count
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, rows: np.ndarray, true: np.ndarray, probabilities: np.ndarray) -> None:
        keys = _rank(probabilities) << np.uint64(32) | rows.astype(np.uint64)
        kept = keys >= self._least
        self.complete &= bool(kept.all())
        self._pending.append((keys[kept], true[kept]))
        self._count += len(self._pending[-1][0])
        if self._count > max(PENDING, self.size):
            self.sort_out()

    def sort_out(self) -> None:
        """Put equal keys together and drop what is not among the best."""
        keys = np.concatenate([self.keys, *(keys for keys, _ in self._pending)])
        true = np.concatenate([self.true, *(true for _, true in self._pending)], dtype=np.int32)
        sizes = np.ones(len(keys), dtype=np.int32)
        sizes[: len(self.sizes)] = self.sizes
        self._pending, self._count = [], 0
        order = np.argsort(keys)
        keys = keys[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        if len(first):
            keys = keys[first]
            sizes = np.add.reduceat(sizes[order], first, dtype=np.int32)
            true = np.add.reduceat(true[order], first, dtype=np.int32)
        counted = sizes[::-1].cumsum(dtype=np.int64)
        place = len(keys) - 1 - int(np.searchsorted(counted, self.size))
        if place > 0:
            self._least = keys[place] >> np.uint64(32) << np.uint64(32)
            start = int(np.searchsorted(keys, self._least))
            self.complete &= start == 0
            keys, sizes, true = keys[start:].copy(), sizes[start:].copy(), true[start:].copy()
        self.keys, self.sizes, self.true = keys, sizes, true


def _rank(probabilities: np.ndarray) -> NDArray[np.uint64]:
    """Return whole numbers below 2^32 in the order of float32 numbers: their bits, which ascend."""
    bits = (probabilities.astype(np.float32) + np.float32(0)).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
