"""How well masked tokens are reconstructed: accuracy and perplexity of k-mers and of bases.

Only whole k-mers are masked and scored, never `<cls>`, an N or a single base. Accuracy is the share
of k-mers whose most probable token is right; base accuracy the share of their bases that it has
right, which forgives more. Perplexity is exp of the mean negative log probability, which is no mean
of 1/p; a median over windows is no pooled value; both are given.

Shape letters: B batch, T tokens, S masked tokens, V vocabulary, k bases of a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder

CENTRE, RANDOM = "centre", "random"


@dataclass(frozen=True, kw_only=True)
class MaskedScores:
    """Of every masked token: its place and what the model gave it.

    rows, places: int64[n], the window and the token's index in it.
    loss: float32[n], −ln p of the true token among all of the vocabulary, in nats.
    predicted, truth: int64[n], token ids.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    loss: NDArray[np.float32]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]


def choose_masked(
    tokens: NDArray[np.integer],
    vocabulary: Vocabulary,
    how: str,
    share: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the places of one window's tokens int[T] to mask: whole k-mers alone, ascending.

    `centre`: the k-mer nearest to the middle; `random`: a share of them, at least one. Raises
    InputError when the window has no whole k-mer.
    """
    whole = np.flatnonzero((tokens >= vocabulary.kmer_offset) & (tokens < vocabulary.base_offset))
    if not len(whole):
        raise InputError("A window holds no whole k-mer to mask; choose windows with fewer N.")
    if how == CENTRE:
        return whole[[np.abs(whole - len(tokens) // 2).argmin()]]
    return draw_share(whole, share, random)


def draw_share(
    places: NDArray[np.int64], share: float, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random share of places, at least one, ascending."""
    number = max(1, round(share * len(places)))
    return np.sort(random.choice(places, number, replace=False))


def rounds_of_all(tokens: NDArray[np.integer], vocabulary: Vocabulary, share: float) -> list:
    """Return rounds of places of one window that mask each of its whole k-mers exactly once."""
    whole = np.flatnonzero((tokens >= vocabulary.kmer_offset) & (tokens < vocabulary.base_offset))
    rounds = max(1, round(1 / share))
    return [whole[i::rounds] for i in range(rounds) if len(whole[i::rounds])]


@torch.inference_mode()
def score_masked(
    encoder: Encoder, vocabulary: Vocabulary, tokens: Tensor, places: Sequence[NDArray[np.int64]]
) -> MaskedScores:
    """Return the scores of the tokens at `places`, masked all at once in each row of int64[B, T].

    Rows may have different numbers of places; the head runs at these alone.
    """
    counts = [len(own) for own in places]
    if not all(counts):
        raise ValueError("every row needs a place")
    most = max(counts)
    # Filled up with the last place of the row, whose scores are left out again.
    filled = np.stack([np.pad(own, (0, most - len(own)), mode="edge") for own in places])
    selected = torch.from_numpy(filled).to(tokens.device)
    masked = tokens.scatter(1, selected, vocabulary.mask)
    logits = encoder(masked, selected).logits.float()  # [B, S, V]
    truth = tokens.gather(1, selected)
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), truth.flatten(), reduction="none"
    ).view_as(truth)
    predicted = logits.argmax(-1)
    kept = np.arange(most)[None, :] < np.array(counts)[:, None]
    return MaskedScores(
        rows=np.nonzero(kept)[0],
        places=filled[kept],
        loss=loss.cpu().numpy()[kept],
        predicted=predicted.cpu().numpy()[kept],
        truth=truth.cpu().numpy()[kept],
    )


def equal_bases(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], vocabulary: Vocabulary
) -> NDArray[np.float64]:
    """Return the share of bases of each true k-mer that the predicted token has right.

    A predicted token that is no whole k-mer has none right.
    """
    first, second = (np.asarray(ids) - vocabulary.kmer_offset for ids in (predicted, truth))
    is_kmer = (first >= 0) & (first < 4**vocabulary.k)
    hits = np.zeros(np.shape(truth))
    for place in range(vocabulary.k):
        hits += first // 4**place % 4 == second // 4**place % 4
    return np.where(is_kmer, hits / vocabulary.k, 0.0)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Accuracies and losses of masked tokens, pooled over tokens or medians over windows.

    `perplexity` is that of tokens; `base_loss` is the loss of all tokens by all their bases, nats
    per base, which tokens of other lengths have alike.
    """

    tokens: int
    bases: int
    windows: int
    accuracy: float
    base_accuracy: float
    perplexity: float
    base_loss: float
    median_accuracy: float
    median_perplexity: float
    median_base_loss: float


def summarise(
    rows: NDArray[np.integer],
    loss: NDArray[np.floating],
    hits: NDArray[np.bool_],
    shares: NDArray[np.floating],
    lengths: NDArray[np.integer],
) -> Summary:
    """Return the summary of tokens: window, −ln p, whether right, share of right bases, bases.

    Of no tokens everything is nan.
    """
    if not len(rows):
        numbers = [name for name, kind in Summary.__annotations__.items() if kind is float]
        return Summary(tokens=0, bases=0, windows=0, **dict.fromkeys(numbers, float("nan")))
    _, window, counts = np.unique(rows, return_inverse=True, return_counts=True)
    hit, lost, bases = (np.bincount(window, weights=values) for values in (hits, loss, lengths))
    return Summary(
        tokens=len(rows),
        bases=int(np.sum(lengths)),
        windows=len(counts),
        accuracy=float(np.mean(hits)),
        base_accuracy=float(np.average(shares, weights=lengths)),
        perplexity=float(np.exp(np.mean(loss, dtype=np.float64))),
        base_loss=float(lost.sum() / bases.sum()),
        median_accuracy=float(np.median(hit / counts)),
        median_perplexity=float(np.exp(np.median(lost / counts))),
        median_base_loss=float(np.median(lost / bases)),
    )
