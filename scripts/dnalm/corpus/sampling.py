"""Counter-based random numbers (Philox) and a pseudo-random permutation (Feistel network).

Both are functions of (seed, sample number), without state: sample n of a training run is the same
whatever the number of processes, workers or restarts.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Even, so that halves of unequal widths end where they began. Three would do with ideal round
# functions (Luby and Rackoff 1988); eight of a cheap one are our choice.
FEISTEL_ROUNDS = 8
# Constants of splitmix64 (Steele, Lea and Flood 2014), the increment being 2**64 / golden ratio.
_SPLITMIX_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SPLITMIX_INCREMENT = 0x9E3779B97F4A7C15
_WORD_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """Independent streams of random numbers, one per purpose.

    The values key the generator: a new purpose takes a new one.
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
    CONTEXT = 10


def generator(seed: int, stream: Stream, n: int) -> np.random.Generator:
    """Return the random generator of sample `n` in one stream: Philox keyed by (seed, stream).

    Samples lie 2**128 draws apart, so no two of them ever share a number. Source: Salmon et al.
    2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    key = np.array([seed & _WORD_MASK, int(stream)], dtype=np.uint64)
    # The third of four 64-bit words: 2**128 blocks of each sample come before the next one's.
    counter = np.array([0, 0, n, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def generators(seed: int, stream: Stream, samples: Iterable[int]) -> Iterator[np.random.Generator]:
    """Yield the generator of each sample, as `generator` returns it; use it before the next.

    It is one object with its counter reset, which takes a twentieth of the time of making one.
    """
    philox = np.random.Philox(key=np.array([seed & _WORD_MASK, int(stream)], dtype=np.uint64))
    state, reused = philox.state, np.random.Generator(philox)
    for n in samples:
        state["state"]["counter"][:] = (0, 0, n, 0)
        philox.state = state  # also empties the buffer of the sample before
        yield reused


def permute(index: ArrayLike, size: int, seed: int, epoch: ArrayLike) -> NDArray[np.int64]:
    """Return the images of `index` under a pseudo-random permutation of 0 .. size - 1, int64.

    `index` and `epoch` broadcast against each other; every (seed, epoch) is another permutation.
    A Feistel network permutes the smallest power of two that holds `size`; values that fall
    outside pass it again until they fall inside (cycle walking: Black and Rogaway 2002), which
    keeps the map one to one. Computed, not stored: a corpus may have 29 million windows.

    Raises ValueError for an index outside 0 .. size - 1.
    """
    index, epoch = np.broadcast_arrays(np.asarray(index, np.int64), np.asarray(epoch, np.int64))
    shape = index.shape
    values = index.ravel().astype(np.uint64)
    if len(values) and int(values.max()) >= size:
        raise ValueError(f"an index to permute lies outside 0 .. {size - 1}")
    keys = _round_keys(seed, epoch.ravel())
    bits = max(2, int(size - 1).bit_length())  # at least one bit for each half
    outside = np.arange(len(values))
    # Less than half of the values fall outside, so the loop ends after a few passes.
    while len(outside):
        values[outside] = _feistel(values[outside], keys[:, outside], bits)
        outside = outside[values[outside] >= np.uint64(size)]
    return values.astype(np.int64).reshape(shape)


def _round_keys(seed: int, epoch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one key per round and value, uint64[FEISTEL_ROUNDS, n]."""
    start = np.uint64((seed * _SPLITMIX_INCREMENT + int(Stream.PERMUTATION)) & _WORD_MASK)
    base = _mix(_mix(np.full(1, start)) + epoch.astype(np.uint64))
    steps = np.array(
        [(round_ + 1) * _SPLITMIX_INCREMENT & _WORD_MASK for round_ in range(FEISTEL_ROUNDS)],
        dtype=np.uint64,
    )
    return _mix(base[None, :] + steps[:, None])


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Return the Feistel permutation of numbers of `bits` bits."""
    low, high = bits // 2, bits - bits // 2
    left, right = values >> np.uint64(low), values & np.uint64((1 << low) - 1)
    # The halves take turns; where `bits` is odd they differ by one bit and so do their masks.
    masks = (np.uint64((1 << high) - 1), np.uint64((1 << low) - 1))
    for round_ in range(FEISTEL_ROUNDS):
        # One to one whatever the mix: left is recovered from the new right and the old one.
        left, right = right, left ^ (_mix(right + keys[round_]) & masks[round_ % 2])
    return (left << np.uint64(low)) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit words mixed by the finaliser of splitmix64; products wrap around."""
    values = (values ^ (values >> np.uint64(30))) * _SPLITMIX_MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * _SPLITMIX_MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))
