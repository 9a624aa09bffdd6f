"""Dropout that depends on seed, fold and step alone, not on what else is computed beside it.

Torch's own draws from one stream: a fold would then depend on the folds trained before it, on the
padding of its batch, and on whether it was interrupted.

Shapes: F folds, B rows of a fold's batch, T tokens, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

# Odd numbers near 2^64 / golden ratio and its square: steps and calls have seeds far apart.
STEP_STRIDE, CALL_STRIDE = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
STREAM = 1  # of the fold's seed; batches and the head are drawn from others
SEEDS = 1 << 63


class Noise:
    """What the dropout of one step draws from, for the folds of a batch, fold after fold."""

    def __init__(self, seed: int, folds: Sequence[int]) -> None:
        self._seeds = [
            int(np.random.default_rng([seed, fold, STREAM]).integers(SEEDS)) for fold in folds
        ]
        self._generator: torch.Generator | None = None

    def begin(self, step: int, shapes: Sequence[tuple[int, int]], rows: slice | np.ndarray) -> None:
        """Prepare for the forward pass of `rows` of every fold in step number `step`.

        `shapes` are [B, T] of the folds' whole batches, each padded as if it were alone.
        """
        self._step, self._shapes, self._rows, self._calls = step, shapes, rows, 0

    def draw(self, x: Tensor, probability: float) -> Tensor:
        """Return 0 with `probability`, else 1 / (1 − probability), of the shape of x [F·B, T, D].

        A fold is drawn whole, so cutting its batch in parts changes nothing.
        """
        if self._generator is None:
            self._generator = torch.Generator(x.device)
        kept = 1.0 - probability
        drawn = []
        for base, (count, tokens) in zip(self._seeds, self._shapes, strict=True):
            seed = base + self._step * STEP_STRIDE + self._calls * CALL_STRIDE
            self._generator.manual_seed(seed % SEEDS)
            one = x.new_empty(count, tokens, x.shape[-1])
            one = one.bernoulli_(kept, generator=self._generator)[self._rows]
            missing = x.shape[1] - tokens
            # Nothing behind a fold's own longest row is ever looked at.
            drawn.append(functional.pad(one, (0, 0, 0, missing)) if missing > 0 else one)
        self._calls += 1
        return torch.cat([one[:, : x.shape[1]] for one in drawn]).div_(kept)


class SeededDropout(nn.Module):
    """Dropout of [F·B, T, D] by a `Noise` that others share, in training alone."""

    def __init__(self, probability: float, noise: Noise) -> None:
        super().__init__()
        self.probability, self.noise = probability, noise

    def forward(self, x: Tensor) -> Tensor:
        return x * self.noise.draw(x, self.probability) if self.training else x


def seed_dropout(module: nn.Module, noise: Noise) -> None:
    """Let every dropout in `module`, in place, draw from `noise`."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Dropout | SeededDropout):
            probability = layer.p if isinstance(layer, nn.Dropout) else layer.probability
            if probability > 0:
                seeded = SeededDropout(probability, noise).train(layer.training)
                module.set_submodule(name, seeded)
