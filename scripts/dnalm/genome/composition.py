"""Composition of sequences: GC content and k-mer counts."""

from collections.abc import Iterable

import numpy as np

from dnalm.genome.kmers import ALPHABET, count_kmers, to_codes


def gc_content(sequences: Iterable[str]) -> np.ndarray:
    """Return the GC content, the share of G and C among A, C, G, T, float [N, 1]; 0 if none."""
    counts = kmer_counts(sequences, 1)
    gc = [ALPHABET.index("G"), ALPHABET.index("C")]
    return counts[:, gc].sum(axis=1, keepdims=True) / np.maximum(
        counts.sum(axis=1, keepdims=True), 1
    )


def kmer_counts(sequences: Iterable[str], k: int) -> np.ndarray:
    """Return the k-mer counts of each sequence, float32 [N, 4**k].

    Neighbouring k-mers overlap (stride 1); those that hold an N are not counted. Columns are in
    the vocabulary's order, letters A, T, C, G, the first one most significant.
    """
    return np.stack(
        [count_kmers(to_codes(sequence), k).astype(np.float32) for sequence in sequences]
    )
