"""An embedder in twenty lines: layer 1 is one-hot, layer 2 counts bases of the token and before."""

import numpy as np

ALPHABET = "ACGTN"
LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


class OneHot:
    layers, width, weights = 2, len(ALPHABET), ()

    def __init__(self, max_bases, token_bases):
        self.max_bases, self.token_bases = max_bases, token_bases

    def embed(self, sequences):
        return [self.embed_one(sequence) for sequence in sequences]

    def embed_one(self, sequence):
        starts = np.arange(0, len(sequence), self.token_bases)
        spans = np.stack([starts, np.minimum(starts + self.token_bases, len(sequence))], axis=1)
        bases = np.frombuffer(sequence.encode(), dtype=np.uint8)[:, None] == LETTERS
        sums = np.add.reduceat(bases.astype(float), starts) / np.diff(spans)
        return np.stack([sums, sums.cumsum(axis=0)]).astype(np.float32), spans


def open_one_hot(device, max_bases=None, token_bases=1):
    return OneHot(max_bases, token_bases)
