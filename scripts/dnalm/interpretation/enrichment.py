"""Whether the attention of a head falls on the tokens of an element more often than chance.

Shape letters: S sequences, L layers, H heads, T tokens, N shifts of the null model. A "direction"
says which end of a pair lies in the element: its receiver (the key) or its sender (the query).

The two-proportion z-test is the paper's; it takes a million pairs of a sequence for independent,
which they are not, and so its p-values are far too small. The honest null shifts the element's mask
around each sequence: the mask keeps its lengths and gaps, the attention its own, and what joins the
two is lost. It takes sequences, not pairs, as what is independent.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
ALPHA = 0.05


def two_proportions(
    hits: Floats, above: Floats, natural_hits: float, natural: float
) -> tuple[Floats, Floats]:
    """Return z and the one-sided p-value of hits/above against natural_hits/natural.

    Both nan where nothing is above. Two proportions with their pooled variance.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share, expected = hits / above, natural_hits / natural
        pooled = (hits + natural_hits) / (above + natural)
        z = (share - expected) / np.sqrt(pooled * (1 - pooled) * (1 / above + 1 / natural))
    return z, ndtr(-z)


@dataclass(kw_only=True)
class Enrichment:
    """Sums over sequences of how much attention falls on an element, and its null distribution.

    Add sequences one by one; then ask. Only sums are kept, of size L·H and N·L·H.
    """

    layers: int
    heads: int
    shifts: int
    seed: int
    sequences: int = 0
    natural_hits: float = 0.0  # tokens of the element
    natural: float = 0.0  # tokens
    hits: Floats = field(init=False)
    above: Floats = field(init=False)
    ratios: Floats = field(init=False)  # sum of the shares of sequences
    scored: NDArray[np.int64] = field(init=False)  # sequences with anything above the threshold
    null: Floats = field(init=False)  # hits of every shift

    def __post_init__(self) -> None:
        shape = (self.layers, self.heads)
        self.hits, self.above, self.ratios = (np.zeros(shape) for _ in range(3))
        self.scored = np.zeros(shape, dtype=np.int64)
        self.null = np.zeros((self.shifts, *shape))

    def add(self, counts: NDArray[np.integer], element: NDArray[np.bool_]) -> None:
        """Add a sequence: counts [L, H, T] of its real tokens without `<cls>`, and its mask [T].

        The shifts of a sequence depend on the seed and on how many were added before.
        """
        tokens = len(element)
        given = counts.astype(np.float64)
        hits, above = given @ element.astype(np.float64), given.sum(-1)
        self.hits += hits
        self.above += above
        some = above > 0
        self.ratios[some] += hits[some] / above[some]
        self.scored += some
        self.natural_hits += int(element.sum())
        self.natural += tokens
        if self.shifts:
            random = np.random.default_rng([self.seed, self.sequences])
            drawn = random.integers(1, max(tokens, 2), size=self.shifts)
            # Hits of all shifts at once: the circular correlation of counts and mask.
            spectrum = np.fft.rfft(given) * np.conj(np.fft.rfft(element.astype(np.float64)))
            by_shift = np.fft.irfft(spectrum, n=tokens)  # [L, H, T], T the shift
            self.null += np.rint(by_shift[..., drawn % tokens]).transpose(2, 0, 1)
        self.sequences += 1

    def pooled(self) -> Floats:
        """Return the share [L, H] of all pairs above the threshold that fall on the element."""
        with np.errstate(invalid="ignore"):
            return self.hits / self.above

    def mean_of_ratios(self) -> Floats:
        """Return the mean share [L, H] over the sequences in which any pair is above."""
        with np.errstate(invalid="ignore"):
            return self.ratios / self.scored

    def test_paper(self) -> tuple[Floats, Floats]:
        """Return z and one-sided p-value [L, H] of the two-proportion test."""
        return two_proportions(self.hits, self.above, self.natural_hits, self.natural)

    def test_shifts(self) -> tuple[Floats, Floats]:
        """Return z and one-sided p-value [L, H] by mean and standard deviation of the shifts.

        Of a normal distribution: among hundreds of heads a share of a thousand shifts could not be
        small enough to be corrected for them. nan where the shifts do not differ or there are none.
        """
        if self.shifts < 2:
            nothing = np.full(self.hits.shape, np.nan)
            return nothing, nothing
        deviation = self.null.std(0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(deviation > 0, (self.hits - self.null.mean(0)) / deviation, np.nan)
        return z, ndtr(-z)

    def rank_among_shifts(self) -> Floats:
        """Return the share [L, H] of shifts, with the observed one, that have as many hits or more.

        A p-value without any assumption, which cannot be below 1 / (shifts + 1); nan where nothing
        is above the threshold.
        """
        more = (self.null >= self.hits).sum(0)
        return np.where(self.above > 0, (1 + more) / (1 + self.shifts), np.nan)

    def effect(self) -> Floats:
        """Return log2 of the pooled share over the element's share of tokens; −inf of no hit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(self.pooled() / (self.natural_hits / self.natural))
