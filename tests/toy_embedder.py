"""Embedders in twenty lines: layer 1 is one-hot, layer 2 counts bases so far, or is trained."""

import numpy as np
import torch

from dnalm.methods import LORA_TARGETS

ALPHABET = "ACGTN"
LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


class OneHot:
    """Layer 2 counts bases of the token and before."""

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


class Trainable(OneHot):
    """Layer 2 is a linear layer on layer 1, of a token a base."""

    def __init__(self, max_bases):
        super().__init__(max_bases, 1)
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Linear(self.width, self.width))
        self.linear = {key: ["0"] for key in LORA_TARGETS}

    def embed_one(self, sequence):
        (one_hot, _), spans = super().embed_one(sequence)
        with torch.no_grad():
            last = self.module(torch.from_numpy(one_hot)).numpy()
        return np.stack([one_hot, last]), spans

    def tokenize(self, sequences):
        return [
            ([ALPHABET.index(base) for base in sequence], self.embed_one(sequence)[1])
            for sequence in sequences
        ]

    def compute_states(self, ids, mask):
        return self.module(torch.nn.functional.one_hot(ids, self.width).float())


def open_trainable(device, max_bases=None):
    return Trainable(max_bases)
