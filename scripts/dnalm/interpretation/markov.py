"""A Markov model of DNA as a baseline of masked tokens: what the bases to the left alone tell.

Shape letters: n words, C = 4^order contexts.
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
        # The best base [C] where so many more follow, and ln P of the best of all those words.
        self._best: list[NDArray[np.uint8]] = []
        self._reached = np.zeros(4**order)

    @classmethod
    def train(cls, sequences: Iterable[NDArray[np.uint8]], order: int) -> "MarkovModel":
        """Return the model of base codes; words with an N do not count."""
        counts = sum(count_kmers(codes, order + 1) for codes in sequences)
        return cls(np.asarray(counts), order)

    def predict(self, contexts: NDArray[np.integer], length: int) -> NDArray[np.uint8]:
        """Return the bases uint8[n, length] of the most probable word after each context [n].

        By the Viterbi recursion: what follows best from a context does not depend on how it was
        come to.
        """
        after = np.arange(4**self.order)[:, None] * 4 + np.arange(4)
        while len(self._best) < length:
            reached = self.log_probabilities + self._reached[after % 4**self.order]  # [C, 4]
            self._best.append(reached.argmax(1).astype(np.uint8))
            self._reached = reached.max(1)
        contexts, words = np.asarray(contexts), np.empty((len(contexts), length), dtype=np.uint8)
        for place in range(length):
            words[:, place] = self._best[length - place - 1][contexts]
            contexts = (contexts * 4 + words[:, place]) % 4**self.order
        return words

    def log_probability(
        self, contexts: NDArray[np.integer], words: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return ln P of the bases of each word, int[n, length] without N, after its context [n].

        The bases of a word are contexts of each other in turn.
        """
        contexts, total = np.asarray(contexts), np.zeros(len(contexts))
        for base in np.asarray(words, dtype=np.int64).T:
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
