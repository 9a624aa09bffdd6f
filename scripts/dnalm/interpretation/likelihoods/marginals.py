"""Probabilities of single bases from those of masked k-mers.

Shape letters: V vocabulary, k bases of a token; `...` any axes before them.
"""

import torch
from torch import Tensor

from dnalm.genome.kmers import Vocabulary


def base_log_probabilities(likelihood: Tensor, vocabulary: Vocabulary, within: int) -> Tensor:
    """Return ln p [..., 4] of the bases A, T, C, G at `within` a k-mer.

    `likelihood` [..., V] is ln p of tokens. p of a base is the sum over all k-mers that have it
    there, among all k-mers.
    """
    # k-mers in the order of their bases, the first one most significant.
    shape = (*likelihood.shape[:-1], 4**within, 4, 4 ** (vocabulary.k - within - 1))
    kmers = likelihood[..., vocabulary.kmer_offset : vocabulary.kmer_offset + 4**vocabulary.k]
    return kmers.reshape(shape).logsumexp((-3, -1)).log_softmax(-1)


def true_base_log_probabilities(
    likelihood: Tensor, truth: Tensor, vocabulary: Vocabulary
) -> Tensor:
    """Return ln p [..., k] of every base of the true k-mers `truth`, ids int64[...]."""
    index, found = truth - vocabulary.kmer_offset, []
    for within in range(vocabulary.k):
        base = index // 4 ** (vocabulary.k - within - 1) % 4
        own = base_log_probabilities(likelihood, vocabulary, within)
        found.append(own.gather(-1, base[..., None])[..., 0])
    return torch.stack(found, -1)
