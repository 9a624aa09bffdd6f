"""Masked-token accuracy and perplexity at <mask> positions, per window and per genome.

Source: the paper masks 15 % of the tokens of each window and reports medians over windows of the
accuracy (share of tokens whose most likely prediction is right) and perplexity (exp of mean loss).

Shapes: W windows, K selected tokens per window.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Of the tempered unigram model; 0 is the uniform one, 1 the unigram model itself.
EXPONENTS = np.arange(0, 2.01, 0.05)


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


def score_tempered(
    targets: NDArray[np.integer],
    weights: Floats,
    kmer_counts: NDArray[np.int64],
    first: int,
    choices: int,
) -> tuple[Floats, tuple[float, float]]:
    """Return the summed loss float64[W] of each window under tempered k-mer frequencies.

    Frequencies are those of `score_unigram`, raised to a power and normalised again: what a model
    may know without any context where held-out windows are of another composition than the
    training ones. Of `EXPONENTS` the one with the smallest loss on every second window is that of
    the others, and the other way round, so that no window chooses its own; both are returned, that
    of the first window first. `weights` [W, K] says what counts.
    """
    counts = np.ones(choices)
    counts[: len(kmer_counts)] += kmer_counts
    logs = np.log(counts)
    chosen = np.clip(np.asarray(targets, dtype=np.int64) - first, 0, choices - 1)
    normalisers = np.log(np.exp(EXPONENTS[:, None] * (logs - logs.max())).sum(1))
    gained = ((logs - logs.max())[chosen] * weights).sum(1)
    losses = weights.sum(1)[:, None] * normalisers - gained[:, None] * EXPONENTS  # [W, exponents]
    even = np.arange(len(losses)) % 2 == 0
    best = [int(losses[half].sum(0).argmin()) for half in (~even, even)]
    exponents = (float(EXPONENTS[best[0]]), float(EXPONENTS[best[1]]))
    return np.where(even, losses[:, best[0]], losses[:, best[1]]), exponents


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
