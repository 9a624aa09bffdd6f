"""Randomness as a function of (seed, sample number): no state, no order, no stored permutation.

Sample n of a training run is the same whatever the number of processes, workers or restarts.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 8  # even, so that the two unequal halves end where they began
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


class Stream(IntEnum):
    """What random numbers are for; each purpose has a stream of its own.

    The numbers decide what is drawn: a new purpose takes a new one.
    """

    PERMUTATION = 0
    START = 1
    MASK = 2
    VALIDATION_MASK = 3
    HAPLOTYPE = 4
    VALIDATION_HAPLOTYPE = 5
    TEST_HAPLOTYPE = 6
    DROPOUT = 8
    TEST_MASK = 9


def generator(seed: int, stream: Stream, n: int) -> np.random.Generator:
    """Return the random generator of sample `n` in one stream: Philox keyed by (seed, stream).

    Samples lie 2**128 draws apart, so no two of them ever share a number.
    """
    key = np.array([seed & _WORD, int(stream)], dtype=np.uint64)
    counter = np.array([0, 0, n, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def generators(seed: int, stream: Stream, samples: Iterable[int]) -> Iterator[np.random.Generator]:
    """Yield for each sample what `generator` returns, to be used before the next is asked for.

    It is one object, set anew, which takes a twentieth of the time of making one.
    """
    philox = np.random.Philox(key=np.array([seed & _WORD, int(stream)], dtype=np.uint64))
    state, reused = philox.state, np.random.Generator(philox)
    for n in samples:
        state["state"]["counter"][:] = (0, 0, n, 0)
        philox.state = state
        yield reused


def permute(index: ArrayLike, size: int, seed: int, epoch: ArrayLike) -> NDArray[np.int64]:
    """Return where a pseudo-random permutation of 0 .. size - 1 sends `index`.

    `index` and `epoch` broadcast against each other; every (seed, epoch) is another permutation.
    A Feistel network permutes the smallest power of two that holds `size`; values that fall
    outside are sent on through the network until they fall inside (cycle walking), which keeps
    the map one to one.

    Raises ValueError for an index outside 0 .. size - 1.
    """
    index, epoch = np.broadcast_arrays(np.asarray(index, np.int64), np.asarray(epoch, np.int64))
    shape = index.shape
    values = index.ravel().astype(np.uint64)
    if len(values) and int(values.max()) >= size:
        raise ValueError(f"an index to permute lies outside 0 .. {size - 1}")
    keys = _round_keys(seed, epoch.ravel())
    bits = max(2, int(size - 1).bit_length())
    outside = np.arange(len(values))
    while len(outside):
        values[outside] = _feistel(values[outside], keys[:, outside], bits)
        outside = outside[values[outside] >= np.uint64(size)]
    return values.astype(np.int64).reshape(shape)


def _round_keys(seed: int, epoch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one key per round and value, uint64[ROUNDS, n]."""
    start = np.uint64((seed * _STEP + int(Stream.PERMUTATION)) & _WORD)
    base = _mix(_mix(np.full(1, start)) + epoch.astype(np.uint64))
    steps = np.array([(round_ + 1) * _STEP & _WORD for round_ in range(ROUNDS)], dtype=np.uint64)
    return _mix(base[None, :] + steps[:, None])


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Send numbers of `bits` bits one to one onto numbers of `bits` bits."""
    low, high = bits // 2, bits - bits // 2
    left, right = values >> np.uint64(low), values & np.uint64((1 << low) - 1)
    masks = (np.uint64((1 << high) - 1), np.uint64((1 << low) - 1))
    for round_ in range(ROUNDS):
        left, right = right, left ^ (_mix(right + keys[round_]) & masks[round_ % 2])
    return (left << np.uint64(low)) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * _MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))
