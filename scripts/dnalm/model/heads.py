"""Pooling of token states to sequence embeddings, and classification heads on an encoder.

Shape letters: B batch, T tokens, D width.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, bases_per_token
from dnalm.model.encoder import Encoder, pick

Pooling = Literal["mean", "cls", "centre"]
LONGEST = 1 << 31  # bases; no sequence is longer


def pool(
    states: Tensor,
    tokens: Tensor,
    vocabulary: Vocabulary,
    pooling: Pooling,
    centre_bases: int | None = None,
) -> Tensor:
    """Return pooled states float32[B, D] from token states [B, T, D], see `pooling_weights`."""
    return weigh(states, pooling_weights(tokens, vocabulary, pooling, centre_bases))


def weigh(states: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums over tokens, float32[B, D], of `states` [B, T, D], `weights` [B, T]."""
    # A batched matrix product reads the states once. In bf16 it would average rounded numbers.
    with torch.autocast(states.device.type, enabled=False):
        return torch.bmm(weights.unsqueeze(1), states.float()).squeeze(1)


def weigh_in_float64(states: Tensor, weights: Tensor) -> Tensor:
    """Return what `weigh` does, added up in float64: float64[B, D].

    For vectors whose differences count: in float32 a sum over T tokens is rounded T times.
    """
    with torch.autocast(states.device.type, enabled=False):
        # Row by row, as all rows in float64 would take twice the memory of the states.
        rows = zip(weights, states, strict=True)
        return torch.stack([weight.double() @ state.double() for weight, state in rows])


def pooling_weights(
    tokens: Tensor, vocabulary: Vocabulary, pooling: Pooling, centre_bases: int | None = None
) -> Tensor:
    """Return the pooling weights of the tokens of each sequence, float32[B, T], which sum to 1.

    `tokens` is int64[B, T]. `mean` and `centre` take tokens of real bases alone, so no <cls>, pads
    and N, with equal weight: `mean` all such tokens, `centre` those that overlap the middle
    `centre_bases` bases of their own sequence, that is bases [s, s + centre_bases) with
    s = ⌊(bases − centre_bases) / 2⌋, 0-based, where an N is one base like any other; a shorter
    sequence is taken whole. Where nothing but N is left, the mean is over these N; a sequence
    without bases weighs 0. `cls` takes <cls>, the first token, alone. Raises `InputError` for
    another pooling or no centre.
    """
    if pooling == "cls":
        return (tokens == vocabulary.cls).float()
    bases = _bases_of_ids(vocabulary, tokens.device)[tokens]
    if pooling == "mean":
        chosen = bases > 0
    elif pooling == "centre" and centre_bases is not None and centre_bases > 0:
        chosen = (bases > 0) & _overlaps_centre(bases, centre_bases)
    else:
        raise InputError(
            f"The pooling is {pooling!r} with centre_bases {centre_bases}; "
            "give mean, cls, or centre with a positive number of bases."
        )
    known = chosen & (tokens != vocabulary.n_id)
    chosen = torch.where(known.any(1, keepdim=True), known, chosen)
    return chosen / chosen.sum(1, keepdim=True).clamp(min=1)


@lru_cache
def _bases_of_ids(vocabulary: Vocabulary, device: torch.device) -> Tensor:
    """Return how many bases each token id stands for, int64 [vocabulary], kept on the device.

    Copied anew for every batch it would make the host wait for all that is queued.
    """
    table = bases_per_token(np.arange(vocabulary.size), vocabulary).astype(np.int64)
    with torch.inference_mode(False):  # whoever asks first may never train, the next one may
        return torch.from_numpy(table).to(device)


def _overlaps_centre(bases: Tensor, centre_bases: int) -> Tensor:
    """Return which tokens overlap the middle bases of their sequence, bool[B, T]."""
    ends = bases.cumsum(1)
    total = ends[:, -1:]
    centre_bases = min(centre_bases, LONGEST)
    first = (total - centre_bases).clamp(min=0) // 2
    return (ends - bases < first + centre_bases) & (ends > first)


def bin_values(least: np.ndarray, largest: np.ndarray, number: int, edges: str) -> np.ndarray:
    """Return the values of equal bins between the least and the largest target, float64[C, number].

    They are the bins' centres, or (points) evenly spaced from end to end; `least` and `largest` are
    those of each of C targets.
    """
    span = (largest - least)[:, None]
    steps = np.arange(number) + 0.5 if edges == "centres" else np.arange(number)
    return least[:, None] + span * steps / (number if edges == "centres" else number - 1)


class BinExpectation(nn.Linear):
    """Expectation over bins: a softmax over the values that each of several targets may have.

    Targets beyond those that it was given, the range of training rows, it cannot predict.
    """

    def __init__(self, width: int, targets: int, number: int) -> None:
        super().__init__(width, targets * number)
        self.register_buffer("values", torch.zeros(targets, number))

    def set_values(self, values: np.ndarray) -> None:
        """Take the values [targets, number] of `bin_values`."""
        self.values.copy_(torch.from_numpy(values))

    def forward(self, states: Tensor) -> Tensor:
        """Return the expected value of each target [B, targets] of states [B, D]."""
        logits = super().forward(states).unflatten(-1, self.values.shape)
        return (logits.float().softmax(-1) * self.values).sum(-1)


class PooledClassifier(nn.Module):
    """Sequence classifier: a linear layer on the pooled last hidden states of an encoder.

    With `bins` it gives the expectation over so many of them for each class, which is a target. The
    layer's first weights come from torch's global generator: seed it before.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        pooling: Pooling,
        vocabulary: Vocabulary,
        centre_bases: int | None = None,
        bins: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.vocabulary = vocabulary
        self.centre_bases = centre_bases
        width = encoder.config.width
        self.output = BinExpectation(width, classes, bins) if bins else nn.Linear(width, classes)

    def forward(self, tokens: Tensor, *, padded: bool = True, longest: int | None = None) -> Tensor:
        """Return logits [B, classes] for `tokens` int64[B, T], padded on the right.

        `padded=False` promises that none is a pad, as for `Encoder`; `longest` is read by
        `BaseClassifier` alone.
        """
        last = self.encoder.config.layers
        states = self.encoder.compute_states(tokens, [last], padded=padded)[last]
        pooled = pool(states, tokens, self.vocabulary, self.pooling, self.centre_bases)
        return self.output(pooled)


class StandardisedLinear(nn.Linear):
    """Linear layer on features [B, D] less a mean, over a deviation, which are set once.

    With initial ones, 0 and 1, it is a plain one.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation of features [N, D]; a constant one keeps its units."""
        deviation = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        return super().forward((features - self.mean) / self.deviation)


class PairClassifier(nn.Module):
    """Classifier of pairs of sequences: a linear layer on what `compare` returns of them.

    A difference of two nearly equal sequences is small beside the vectors themselves: the layer
    standardises them all. First weights as in `PooledClassifier`.
    """

    def __init__(
        self, encoder: Encoder, classes: int, pooling: Pooling, vocabulary: Vocabulary
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.vocabulary = vocabulary
        self.output = StandardisedLinear(3 * encoder.config.width, classes)

    def compare(self, tokens: Tensor, *, padded: bool = True) -> Tensor:
        """Return [first, second, second - first], float32 [B, 3 D], of pooled last hidden states.

        `tokens` int64 [2 B, T] are those of all first sequences, then of all second ones.
        """
        last = self.encoder.config.layers
        states = self.encoder.compute_states(tokens, [last], padded=padded)[last]
        first, second = pool(states, tokens, self.vocabulary, self.pooling).chunk(2)
        return torch.cat([first, second, second - first], dim=1)

    def forward(self, tokens: Tensor, *, padded: bool = True, longest: int | None = None) -> Tensor:
        """Return logits [B, classes]; arguments are those of `compare`, `longest` is not read."""
        return self.output(self.compare(tokens, padded=padded))


class BaseClassifier(nn.Module):
    """Per-base classifier: a linear layer on the last hidden state of every token.

    A token of k bases uses all of the layer's k groups of classes, one of a single base (the end
    of a piece, an N) the first. First weights as in `PooledClassifier`.
    """

    def __init__(
        self, encoder: Encoder, classes: int, vocabulary: Vocabulary, places: int | None = None
    ) -> None:
        """Take `places` groups of classes, those of the vocabulary's k where none are given."""
        super().__init__()
        self.encoder = encoder
        self.classes = classes
        self.vocabulary = vocabulary
        self.places = places or vocabulary.k
        self.output = nn.Linear(encoder.config.width, self.places * classes)

    def count_bases(self, tokens: Tensor) -> Tensor:
        """Return how many bases each token has, int64 [B, T]."""
        return _bases_of_ids(self.vocabulary, tokens.device)[tokens]

    def forward(self, tokens: Tensor, *, padded: bool = True, longest: int | None = None) -> Tensor:
        """Return logits [B, L, classes] for `tokens` int64[B, T], padded on the right.

        L is the number of bases of the longest sequence, `longest` where the host knows it, which
        else has to ask the device; behind the end of a shorter one are zeros. `padded=False`
        promises that no token is a pad.
        """
        last = self.encoder.config.layers
        states = self.encoder.compute_states(tokens, [last], padded=padded)[last]
        bases = self.count_bases(tokens)
        ends = bases.cumsum(1)
        longest = int(ends[:, -1].max()) if longest is None else longest
        base = torch.arange(longest, device=tokens.device).expand(len(tokens), -1).contiguous()
        # The token of each base, the first that ends behind it, and the base's place in it. Found
        # by arithmetic: a mask would make the host ask the device how many there are.
        token = torch.searchsorted(ends, base, right=True).clamp(max=tokens.shape[1] - 1)
        place = (base - (ends - bases).gather(1, token)).clamp(max=self.places - 1)
        logits = self.output(states).unflatten(-1, (self.places, self.classes)).flatten(1, 2)
        by_base = pick(logits, token * self.places + place)
        return by_base.masked_fill((base >= ends[:, -1:]).unsqueeze(-1), 0.0)


class StackedLinear(nn.Module):
    """Linear layers of F folds; a batch has the rows of fold after fold, as many of each."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Take weights [F, N, K] and biases [F, N]."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        by_fold = x.reshape(len(self.weight), -1, x.shape[-1])
        found = torch.baddbmm(self.bias.unsqueeze(1), by_fold, self.weight.transpose(1, 2))
        return found.view(*x.shape[:-1], -1)


def choose_pooling(task: Mapping[str, Any], default: Pooling) -> Pooling:
    """Return the pooling that a task's config asks for, else `default`."""
    return task.get("pooling") or default
