"""Masked-token accuracy and perplexity at <mask> positions, per window and per genome.

Source: the paper masks 15 % of the tokens of each window and reports medians over windows of the
accuracy (share of tokens whose most likely prediction is right) and perplexity (exp of mean loss).

Shapes: W windows, K selected tokens per window.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def score_unigram(
    targets: NDArray[np.integer], kmer_counts: NDArray[np.int64], first: int, choices: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the losses (nats) and hits of the unigram model: k-mer frequencies alone.

    `targets` are the tokens to predict, of any shape; the `choices` token ids from `first` on are
    possible ones, the k-mers of `kmer_counts` int64[4**k] before single bases, whose count is 0.
    Frequencies have add-one (Laplace) smoothing; the prediction is always the most frequent k-mer.
    A target that is none of the choices gets numbers without meaning.
    """
    counts = np.ones(choices)
    counts[: len(kmer_counts)] += kmer_counts
    chosen = np.clip(np.asarray(targets, dtype=np.int64) - first, 0, choices - 1)
    return -np.log(counts / counts.sum())[chosen], chosen == counts.argmax()


def sum_windows(losses: Floats, hits: NDArray, weights: Floats) -> Floats:
    """Return the sums of loss, hits and weights of each window, float64[W, 3], from [W, K]."""
    parts = (losses * weights, hits * weights, weights)
    return np.stack([part.sum(axis=1, dtype=np.float64) for part in parts], axis=1)


def describe_windows(sums: Floats, names: Sequence[str]) -> dict[str, float | None]:
    """Return the medians over windows of accuracy and perplexity under `names`, None of no window.

    `sums` are those of `sum_windows`; windows without a masked token are left out.
    """
    counted = sums[sums[:, 2] > 0]
    if not len(counted):
        return dict.fromkeys(names)
    means = counted[:, :2] / counted[:, 2:]
    values = (np.median(means[:, 1]), np.median(np.exp(means[:, 0])))
    return dict(zip(names, map(float, values), strict=True))


def describe_genomes(
    model: Floats, unigram: Floats, genomes: NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Return loss and accuracy per genome, of the model and of the unigram baseline.

    {genome: {windows, tokens (masked ones), loss, accuracy, unigram_loss, unigram_accuracy}}, all
    means over tokens, of genomes with a masked token. `genomes` names that of every window, `model`
    and `unigram` are those of `sum_windows`.
    """
    described = {}
    for genome in dict.fromkeys(genomes.tolist()):
        own = genomes == genome
        (loss, hits, count), (plain, plain_hits, _) = model[own].sum(0), unigram[own].sum(0)
        if count:
            described[genome] = {
                "windows": int(own.sum()),
                "tokens": int(count),
                "loss": loss / count,
                "accuracy": hits / count,
                "unigram_loss": plain / count,
                "unigram_accuracy": plain_hits / count,
            }
    return described
