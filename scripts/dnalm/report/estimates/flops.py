"""FLOPs of the stages: multiplications and additions of matrix products and convolutions.

Shape letters: T tokens, D width, F feed-forward width, N rows, U units of a hidden layer. What is
no product (norms, activations, softmax) is not counted, as is usual; a rate that was measured in
the same FLOPs holds it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from dnalm.benchmark.probing.linear.solver import MAX_BATCHED_FEATURES, MIN_BATCHED_PRODUCTS
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.probing.mlp.studies import count_trials
from dnalm.model.adapters import add_adapter
from dnalm.model.config import GATED, EncoderConfig
from dnalm.model.encoder import Encoder

# Passes over the features that a fit of the batched solver takes with its certificate, and of
# scikit-learn's Newton steps: what was seen on embeddings, docs/explanation/performance.md.
BATCHED_STEPS, NEWTON_STEPS = 20, 8
EIGENVECTORS = 10  # FLOPs of all eigenvectors of a symmetric matrix, in units of its width cubed


def count_tokens(bases: float, k: int) -> int:
    """Return the tokens of a sequence without N: `<cls>`, k-mers, and the rest as single bases."""
    return 1 + int(bases) // k + int(bases) % k


def forward_flops(config: EncoderConfig, layers: int, tokens: int) -> float:
    """Return the FLOPs of one sequence of T tokens through the first `layers` blocks.

    2 per weight and token, 4 · D per pair of tokens.
    """
    matrices = 3 if config.feed_forward == GATED else 2
    weights = 4 * config.width**2 + matrices * config.width * config.ffn_width
    return layers * tokens * (2 * weights + 4 * config.width * tokens)


def count_passes(config: EncoderConfig, method: Mapping[str, Any]) -> int:
    """Return how often the FLOPs of a forward pass a training step of a method takes.

    1 where nothing of the encoder is trained, 2 where gradients only pass through it, 3 where its
    matrices have gradients, too.
    """
    with torch.device("meta"):
        encoder = Encoder(config)
    trained = add_adapter(encoder, method["adapter"], method["options"])
    if not trained:
        return 1
    matrix = encoder.blocks[0].feed_forward.input.weight
    return 3 if any(parameter is matrix for parameter in trained) else 2


def count_trained(config: EncoderConfig, method: Mapping[str, Any]) -> int:
    """Return the numbers that a method trains of an encoder."""
    with torch.device("meta"):
        encoder = Encoder(config)
    trained = add_adapter(encoder, method["adapter"], method["options"])
    return sum(parameter.numel() for parameter in trained)


def convolution_flops(network: nn.Module, bases: float) -> float:
    """Return the FLOPs of a sequence through a network: 2 per weight of a convolution and base.

    Outer taps of dilated convolutions that no base of the sequence reaches are left out, as they
    are when it is computed.
    """
    tokens = bases + 1  # and <cls>
    weights = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    dilated = getattr(network, "dilated", ())
    unread = sum(own.weight.numel() * 2 // 3 for own in dilated if own.dilation[0] >= tokens)
    return 2 * (weights - unread) * tokens


def count_fits(splits: int, penalties: Sequence[float], classes: int) -> int:
    """Return the regressions that the penalties of all splits take, one for each output."""
    return splits * len(set(penalties)) * (1 if classes == 2 else classes)


def is_batched(rows: float, width: int, fits: int, solver: str) -> bool:
    """Return whether the batched solver takes a grid of so many fits, as the probe decides."""
    if width > MAX_BATCHED_FEATURES or solver not in ("auto", "batched"):
        return False
    return solver == "batched" or fits * rows * width**2 > MIN_BATCHED_PRODUCTS


def grid_flops(rows: float, width: int, fits: int, *, batched: bool) -> float:
    """Return the FLOPs of all fits of one feature set [N, D].

    Batched: second moments and their eigenvectors once, then two products with the features a step
    of each fit. Else a Newton step of each fit makes its own second moments.
    """
    if batched:
        once = 2 * rows * width**2 + EIGENVECTORS * width**3
        return once + fits * BATCHED_STEPS * 4 * rows * width
    return fits * NEWTON_STEPS * (2 * rows * width * (width + 2) + width**3 / 3)


def perceptron_weights(width: int, classes: int, config: MlpConfig) -> float:
    """Return the mean weights of a drawn multilayer perceptron on D features.

    Units are drawn evenly in their logarithm, depths evenly.
    """
    low, high = config.units[0], config.units[-1]
    units = (high - low) / math.log(high / low) if high > low else float(low)
    deeper = sum(layers - 1 for layers in config.layers) / len(config.layers)
    return width * units + deeper * units**2 + units * classes


def search_flops(rows: float, width: int, classes: int, splits: int, config: MlpConfig) -> float:
    """Return the FLOPs of all trials of one feature set, none given up early.

    An epoch trains each split on its rows, 6 per weight and row, and predicts the others.
    """
    weights = perceptron_weights(width, classes, config)
    epoch = weights * rows * (6 * (splits - 1) + 2)
    return count_trials(config) * config.epochs * epoch
