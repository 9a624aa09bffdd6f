"""The features of the simple baselines; they go through the same probe as embeddings.

Shapes: N sequences, F features.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dnalm.genome.composition import gc_content, kmer_counts
from dnalm.genome.kmers import ALPHABET, Vocabulary, encode, to_codes
from dnalm.methods import find_baseline, find_function

Settings = Mapping[str, Any]  # of one baseline, its entry in the section `baselines`


def baseline_features(
    name: str, config: Mapping[str, Settings], sequences: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the feature sets [N, F] of one baseline; `config` is the section `baselines`.

    Raises InputError for a name that `dnalm.methods` does not have.
    """
    features = find_function(find_baseline(name).features)
    return features(list(sequences), config.get(name) or {})


def constant_features(sequences: Sequence[str], settings: Settings) -> dict[str, np.ndarray]:
    """Return one constant column: the probe learns the class frequencies and nothing else."""
    return {"constant": np.zeros((len(sequences), 1), dtype=np.float32)}


def gc_features(sequences: Sequence[str], settings: Settings) -> dict[str, np.ndarray]:
    """Return the share of G and C among the bases that are not N."""
    return {"gc_content": gc_content(sequences)}


def kmer_features(sequences: Sequence[str], settings: Settings) -> dict[str, np.ndarray]:
    """Return k-mer counts: for every k of `settings["k"]` the set `k=<k>` of all 4**k k-mers.

    Dense: windows of hundreds of bases hold a large part of all short k-mers, and the probe's
    standardisation centres them anyway.
    """
    return {f"k={k}": kmer_counts(sequences, k) for k in settings["k"]}


def one_hot_features(sequences: Sequence[str], settings: Settings) -> dict[str, np.ndarray]:
    """Return the base at each of the first `settings["bases"]` positions, one-hot (`one_hot`)."""
    return {"one_hot": one_hot(sequences, settings["bases"])}


def token_features(sequences: Sequence[str], settings: Settings) -> dict[str, np.ndarray]:
    """Return token ids as numbers (`token_ids`)."""
    return {"token_ids": token_ids(sequences, Vocabulary(settings["k"], settings["vocabulary"]))}


def one_hot(sequences: Iterable[str], bases: int | None) -> np.ndarray:
    """Return float32 [N, 4 * bases]: for each base from the left end whether it is A, T, C, G.

    `bases` None is the length of the longest sequence. An N, and what lies behind the end of a
    shorter sequence, is 0 in all four; bases of a longer one are left out. Dense, as the counts of
    6-mers are, which need as much for 1,000 bases: 16 kB a sequence.
    """
    codes = [to_codes(sequence) for sequence in sequences]
    bases = max(map(len, codes), default=0) if bases is None else bases
    letters = np.arange(len(ALPHABET), dtype=np.uint8)
    features = np.zeros((len(codes), bases, len(letters)), dtype=np.float32)
    for row, code in zip(features, codes, strict=True):
        row[: len(code)] = code[:bases, None] == letters
    return features.reshape(len(codes), -1)


def token_ids(sequences: Iterable[str], vocabulary: Vocabulary) -> np.ndarray:
    """Return float32 [N, T]: the ids of each sequence's tokens, <cls> first, then <pad>.

    T is that of the sequence with most tokens. An id says nothing by its size; what this scores is
    what the numbers give away by chance of their order.
    """
    ids = [encode(to_codes(sequence), vocabulary) for sequence in sequences]
    longest = max(map(len, ids), default=0)
    features = np.full((len(ids), longest), vocabulary.pad, dtype=np.float32)
    for row, own in zip(features, ids, strict=True):
        row[: len(own)] = own
    return features
