"""Where a text stands in a longer one: many places are compared with it in one look at a table.

Codes of bases, sums and powers are modulo 2**64.
"""

import numpy as np

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Sums:
    """Sums over the beginnings of a text, of each code times a power that its position gives.

    The difference of two of them is the digest of what stands between, times a power.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        steps = np.full(len(codes) + 1, MULTIPLIER)
        steps[0] = 1
        self.powers = np.multiply.accumulate(steps)
        self.sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum((codes.astype(np.uint64) + 1) * self.powers[:-1], out=self.sums[1:])

    def first_equal(self, starts: np.ndarray, text: np.ndarray, digest: np.uint64) -> int | None:
        """Return the first of `starts` at which `text`, of that digest, stands; None if nowhere."""
        n = len(text)
        starts = starts[(starts >= 0) & (starts + n <= len(self.codes))]
        found = self.sums[starts + n] - self.sums[starts] == self.powers[starts] * digest
        for start in starts[found].tolist():  # other texts may have the digest, hardly any do
            if np.array_equal(self.codes[start : start + n], text):
                return start
        return None


def digest_of(text: np.ndarray) -> np.uint64:
    """Return the digest of a text."""
    return Sums(text).sums[-1]
