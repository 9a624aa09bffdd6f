"""Features of the simple sequence baselines, which go through the same probe as embeddings.

Shapes: N sequences, F features.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.composition import gc_content, kmer_counts
from dnalm.genome.kmers import ALPHABET, Vocabulary, encode, to_codes


def baseline_features(
    name: str, config: Mapping[str, Any], sequences: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the feature sets [N, F] of one baseline; `config` is the section `baselines`.

    `majority`: one constant column, so that the probe learns the class frequencies and nothing
    else. `gc_content`: the share of G and C among the bases that are not N. `kmers`: for every k
    of `config["kmers"]["k"]` the set `k=<k>`, the counts of all 4**k k-mers. The counts are dense:
    windows of hundreds of bases hold a large part of all short k-mers, and the probe's
    standardisation centres them anyway. `one_hot`: the base at each position (`one_hot`).
    `token_ids`: the ids of the tokens as numbers (`token_ids`).

    Raises InputError for another name.
    """
    sequences = list(sequences)
    if name == "majority":
        return {"constant": np.zeros((len(sequences), 1), dtype=np.float32)}
    if name == "gc_content":
        return {"gc_content": gc_content(sequences)}
    if name == "kmers":
        return {f"k={k}": kmer_counts(sequences, k) for k in config["kmers"]["k"]}
    if name == "one_hot":
        return {"one_hot": one_hot(sequences, config["one_hot"]["bases"])}
    if name == "token_ids":
        vocabulary = Vocabulary(config["token_ids"]["k"], config["token_ids"]["vocabulary"])
        return {"token_ids": token_ids(sequences, vocabulary)}
    raise InputError(
        f"baselines.{name} is not a baseline: use majority, gc_content, kmers, one_hot or "
        "token_ids."
    )


def one_hot(sequences: Iterable[str], bases: int | None) -> np.ndarray:
    """Return one-hot codes float32 [N, 4 * bases]: of each base from the left end, A T C G.

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
    """Return the token ids of each sequence, float32 [N, T]: <cls> first, <pad> at the end.

    T is that of the sequence with most tokens. An id says nothing by its size; what this scores is
    what the numbers give away by chance of their order.
    """
    ids = [encode(to_codes(sequence), vocabulary) for sequence in sequences]
    longest = max(map(len, ids), default=0)
    features = np.full((len(ids), longest), vocabulary.pad, dtype=np.float32)
    for row, own in zip(features, ids, strict=True):
        row[: len(own)] = own
    return features
