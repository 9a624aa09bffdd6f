"""The features of the simple baselines; they go through the same probe as embeddings.

Shapes: N sequences, F features.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.kmers import ALPHABET, count_kmers, to_codes


def baseline_features(
    name: str, config: Mapping[str, Any], sequences: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the feature sets [N, F] of one baseline; `config` is the section `baselines`.

    `majority`: one constant column, so that the probe learns the class frequencies and nothing
    else. `gc_content`: the share of G and C among the bases that are not N. `kmers`: for every k
    of `config["kmers"]["k"]` the set `k=<k>`, the counts of all 4**k k-mers. The counts are dense:
    windows of hundreds of bases hold a large part of all short k-mers, and the probe's
    standardisation centres them anyway.

    Raises InputError for another name.
    """
    sequences = list(sequences)
    if name == "majority":
        return {"constant": np.zeros((len(sequences), 1), dtype=np.float32)}
    if name == "gc_content":
        return {"gc_content": gc_content(sequences)}
    if name == "kmers":
        return {f"k={k}": kmer_counts(sequences, k) for k in config["kmers"]["k"]}
    raise InputError(f"baselines.{name} is not a baseline: use majority, gc_content or kmers.")


def gc_content(sequences: Iterable[str]) -> np.ndarray:
    """Return the share of G and C among the A, C, G, T of each sequence [N, 1]; 0 if none."""
    counts = kmer_counts(sequences, 1)
    gc = [ALPHABET.index("G"), ALPHABET.index("C")]
    return counts[:, gc].sum(axis=1, keepdims=True) / np.maximum(
        counts.sum(axis=1, keepdims=True), 1
    )


def kmer_counts(sequences: Iterable[str], k: int) -> np.ndarray:
    """Return how often each k-mer begins at any base of each sequence, float32 [N, 4**k].

    Neighbouring k-mers overlap (stride 1); those that hold an N are not counted. Columns are in
    the vocabulary's order, letters A, T, C, G, the first one most significant.
    """
    return np.stack(
        [count_kmers(to_codes(sequence), k).astype(np.float32) for sequence in sequences]
    )
