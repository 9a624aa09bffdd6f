"""A Markov model of DNA as a baseline of masked k-mers: what the bases to the left alone tell.

Shape letters: W windows, k bases of a token, C = 4^order contexts, K = 4^k k-mers.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.kmers import N, count_kmers

PSEUDOCOUNT = 1.0  # of every continuation, so that none is impossible


class MarkovModel:
    """Probabilities of a base after the `order` bases to its left, from counts of (order + 1)-mers.

    Indexes of contexts and k-mers are those of `dnalm.genome.kmers`: the first base counts most.
    """

    def __init__(self, counts: NDArray[np.integer], order: int) -> None:
        if counts.shape != (4 ** (order + 1),):
            raise ValueError(f"{counts.shape} counts are not those of {order + 1}-mers")
        self.order, self.counts = order, counts
        by_context = counts.reshape(-1, 4).astype(np.float64) + PSEUDOCOUNT
        self.log_probabilities = np.log(by_context / by_context.sum(1, keepdims=True))  # [C, 4]
        self._best: dict[int, NDArray[np.int64]] = {}  # by k, the most probable k-mers [C]

    @classmethod
    def train(cls, sequences: Iterable[NDArray[np.uint8]], order: int) -> "MarkovModel":
        """Return the model of base codes; words with an N do not count."""
        counts = sum(count_kmers(codes, order + 1) for codes in sequences)
        return cls(np.asarray(counts), order)

    def kmer_log_probabilities(self, k: int) -> NDArray[np.float32]:
        """Return ln P of every k-mer after every context, float32 [C, K].

        The bases of the k-mer are contexts of each other in turn.
        """
        contexts = np.arange(4**self.order)[:, None]
        kmers = np.arange(4**k)[None, :]
        total = np.zeros((len(contexts), kmers.shape[1]), dtype=np.float32)
        for place in range(k):
            base = kmers // 4 ** (k - 1 - place) % 4
            total += self.log_probabilities[contexts, base].astype(np.float32)
            contexts = (contexts * 4 + base) % 4**self.order
        return total

    def predict(self, contexts: NDArray[np.integer], k: int) -> NDArray[np.int64]:
        """Return the most probable k-mer after each context, int64 of the shape of `contexts`."""
        if k not in self._best:
            self._best[k] = self.kmer_log_probabilities(k).argmax(1)
        return self._best[k][contexts]

    def log_probability(
        self, contexts: NDArray[np.integer], kmers: NDArray[np.integer], k: int
    ) -> NDArray[np.float64]:
        """Return ln P of each k-mer after its context."""
        contexts, total = np.asarray(contexts), np.zeros(np.shape(kmers))
        for place in range(k):
            base = np.asarray(kmers) // 4 ** (k - 1 - place) % 4
            total += self.log_probabilities[contexts, base]
            contexts = (contexts * 4 + base) % 4**self.order
        return total


def contexts_before(codes: NDArray[np.uint8], places: NDArray[np.integer], order: int) -> NDArray:
    """Return the index of the `order` bases before each place of base codes uint8[n].

    −1 where fewer bases or an N lie before it.
    """
    found = np.full(len(places), -1, dtype=np.int64)
    for i, place in enumerate(np.asarray(places).tolist()):
        before = codes[max(place - order, 0) : place]
        if len(before) == order and not (before == N).any():
            index = 0
            for code in before.tolist():
                index = index * 4 + code
            found[i] = index
    return found
