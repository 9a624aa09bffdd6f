"""How well the tokens hidden by <mask> are guessed, window by window and genome by genome.

The paper masks 15 % of the tokens of each window and takes the median over windows of the accuracy
(share of right first guesses) and of the perplexity (exp of the mean loss).

Shapes: W windows, K selected tokens per window.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def score_unigram(
    targets: NDArray[np.integer], kmer_counts: NDArray[np.int64], first: int, choices: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the losses (nats) and hits of who knows only how often each k-mer occurs.

    `targets` are the tokens to guess, of any shape; the `choices` tokens from `first` on are
    possible ones, the k-mers of `kmer_counts` int64[4**k] before single bases, which never
    occurred. Each counts once more than it occurred (Laplace); the commonest k-mer is always
    guessed. A target that is no possible one gets numbers without meaning.
    """
    counts = np.ones(choices)
    counts[: len(kmer_counts)] += kmer_counts
    chosen = np.clip(np.asarray(targets, dtype=np.int64) - first, 0, choices - 1)
    return -np.log(counts / counts.sum())[chosen], chosen == counts.argmax()


def sum_windows(losses: Floats, hits: NDArray, weights: Floats) -> Floats:
    """Return float64[W, 3]: sums of loss, hits and weights of each window, from arrays [W, K]."""
    parts = (losses * weights, hits * weights, weights)
    return np.stack([part.sum(axis=1, dtype=np.float64) for part in parts], axis=1)


def describe_windows(sums: Floats, names: Sequence[str]) -> dict[str, float | None]:
    """Return the medians over windows, by names for accuracy and perplexity; None of no window.

    `sums` are those of `sum_windows`; a window without a masked token has no say.
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
    """Return what the windows of each genome, named for every window, say of model and baseline.

    {genome: {windows, tokens (masked ones), loss, accuracy, unigram_loss, unigram_accuracy}}, all
    means over tokens, of genomes with a masked token. `model` and `unigram` as `sum_windows` gives.
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
