"""Exact substring search with a polynomial rolling hash (Karp and Rabin 1987).

The hash of any part of a text follows from two of its prefixes' hashes, so that many places are
compared with a query in one look at a table. Hashes and powers are modulo 2**64, where texts exist
that collide: a hit is compared base by base before it counts. Shapes: n bases of a text.
"""

import numpy as np

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is 0 modulo 2**64


class PrefixHashes:
    """Hashes of all prefixes of a text: sums of each code times MULTIPLIER to its position.

    The difference of two of them is the hash of what stands between, times a power. `codes` [n],
    `powers` and `prefixes` uint64 [n + 1].
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        steps = np.full(len(codes) + 1, MULTIPLIER)
        steps[0] = 1
        self.powers = np.multiply.accumulate(steps)
        self.prefixes = np.zeros(len(codes) + 1, dtype=np.uint64)
        # A code of 0 would leave the hash as it is, whatever the number of such bases.
        np.cumsum((codes.astype(np.uint64) + 1) * self.powers[:-1], out=self.prefixes[1:])

    def find_first(self, starts: np.ndarray, text: np.ndarray, hashed: np.uint64) -> int | None:
        """Return the first of `starts`, 0-based, at which `text` stands; None if at none.

        `hashed` is its `polynomial_hash`.
        """
        n = len(text)
        starts = starts[(starts >= 0) & (starts + n <= len(self.codes))]
        # Multiplied up instead of divided down: no inverse of a power is needed.
        found = self.prefixes[starts + n] - self.prefixes[starts] == self.powers[starts] * hashed
        for start in starts[found].tolist():  # another text may have the same hash; hardly any does
            if np.array_equal(self.codes[start : start + n], text):
                return start
        return None


def polynomial_hash(text: np.ndarray) -> np.uint64:
    """Return the polynomial hash of a text's codes, modulo 2**64."""
    return PrefixHashes(text).prefixes[-1]
