"""The features of one layer, standardised once and shared by the fits of all splits.

Shapes: N rows, D features, S splits, B problems (a split and a penalty each), K outputs of a
problem (1 for two classes, else one for each class).
"""

from collections.abc import Iterator
from copy import copy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

BLOCK = 4096  # rows that are looked at in float64 at once
BLOCKS = 8  # parts of the columns of the Gram matrix, which is symmetric
CONSTANT = 1e-10  # share of its variance over all rows below which a feature is constant in a split


class SharedFeatures:
    """Rows [N, D] that every split sees through its mask, standardised by the split's own rows.

    Each split's mean and SD differ a little from those of all rows. That difference is applied to
    the weights, which are few, instead of to the features: no split has a copy of its own.
    `masks` is bool [S, N], true where a row belongs to the training part.
    """

    def __init__(
        self, features: np.ndarray, masks: np.ndarray, device: str, dtype: torch.dtype
    ) -> None:
        count, width = features.shape
        self.mean = features.mean(axis=0, dtype=np.float64)
        variance, first, second = np.zeros(width), *np.zeros((2, len(masks), width))
        weights = masks.astype(np.float64)
        for at in range(0, count, BLOCK):
            block = features[at : at + BLOCK] - self.mean
            squares = block**2
            variance += squares.sum(axis=0)
            first += weights[:, at : at + BLOCK] @ block
            second += weights[:, at : at + BLOCK] @ squares
        self.scale = np.sqrt(variance / count)
        self.scale[self.scale == 0] = 1.0

        self.values = torch.empty(count, width, dtype=dtype, device=device)
        for at in range(0, count, BLOCK):
            block = (features[at : at + BLOCK] - self.mean) / self.scale
            self.values[at : at + BLOCK] = torch.from_numpy(block).to(device, dtype)
        counts = weights.sum(axis=1, keepdims=True)
        means = first / counts / self.scale
        variances = second / counts / self.scale**2 - means**2
        # The weight of a constant feature is 0 at the optimum whatever it is divided by.
        inverse = np.where(variances > CONSTANT, 1 / np.sqrt(np.maximum(variances, CONSTANT)), 0.0)
        self.counts, self.means, self.inverse_scales = (
            torch.from_numpy(array).to(device, torch.float64)
            for array in (counts[:, 0], means, inverse)
        )

    def margins(self, weights: Tensor, intercepts: Tensor, splits: Tensor) -> Tensor:
        """Return [B, K, N] for weights [B, K, D] on each problem's own standardised features."""
        raw, shift = self._unscale(weights, intercepts, splits)
        flat, margins = raw.flatten(0, 1), raw.new_empty(*raw.shape[:2], len(self.values))
        for at, block in self._blocks(raw.dtype):
            margins.flatten(0, 1)[:, at : at + len(block)] = flat @ block.T
        return margins.add_(shift[:, :, None])

    def gradients(self, residuals: Tensor, splits: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of the loss by weights [B, K, D] and intercepts [B, K].

        `residuals` [B, K, N] are its derivatives by the margins, 0 outside a problem's split.
        """
        flat = residuals.flatten(0, 1)
        raw = sum(flat[:, at : at + len(block)] @ block for at, block in self._blocks(flat.dtype))
        raw, by_intercept = raw.unflatten(0, residuals.shape[:2]), residuals.sum(dim=2)
        means, inverse = (
            array[splits].to(raw.dtype)[:, None] for array in (self.means, self.inverse_scales)
        )
        return (raw - by_intercept[:, :, None] * means) * inverse, by_intercept

    def original(
        self, weights: Tensor, intercepts: Tensor, splits: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return float64 [B, K, D] and [B, K] that give the same margins on the given features."""
        raw, shift = self._unscale(weights.double(), intercepts.double(), splits)
        coefficients = raw.cpu().numpy() / self.scale
        return coefficients, shift.cpu().numpy() - coefficients @ self.mean

    def _unscale(
        self, weights: Tensor, intercepts: Tensor, splits: Tensor
    ) -> tuple[Tensor, Tensor]:
        means, inverse = (
            array[splits].to(weights.dtype)[:, None] for array in (self.means, self.inverse_scales)
        )
        raw = weights * inverse
        return raw, intercepts - (raw * means).sum(dim=2)

    def _blocks(self, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
        """Yield the rows in the type that is computed in: all at once where it is their own."""
        size = len(self.values) if dtype == self.values.dtype else BLOCK
        for at in range(0, len(self.values), size):
            yield at, self.values[at : at + size].to(dtype)


class Preconditioner:
    """The eigenvectors of the features' second moments: one matrix that suits all fits.

    Where all weights are 0, every row has the same curvature p (1 - p), p the share of its class:
    there the Hessian is this matrix times a number, plus the penalty on its diagonal. In the
    coordinates `inner` it is the identity, whatever the penalty.
    """

    def __init__(self, values: Tensor) -> None:
        count, width = values.shape
        moments = values.new_empty(width, width)
        edges = [width * part // BLOCKS for part in range(BLOCKS + 1)]
        for start, stop in pairwise(edges):
            moments[start:stop, start:] = values[:, start:stop].T @ values[:, start:]
            moments[start:, start:stop] = moments[start:stop, start:].T
        eigenvalues, self.eigenvectors = torch.linalg.eigh(moments)
        self.eigenvalues = eigenvalues.clamp_min(0) / count

    def to(self, dtype: torch.dtype) -> "Preconditioner":
        """Return the same in another type; its eigenvectors keep the accuracy they have."""
        other = copy(self)
        other.eigenvalues = self.eigenvalues.to(dtype)
        other.eigenvectors = self.eigenvectors.to(dtype)
        return other

    def scales(self, curvatures: Tensor, inverse_penalties: Tensor) -> Tensor:
        """Return [B, K, D + 1]: the square roots of the Hessian's eigenvalues, intercept last.

        `curvatures` [B, K] are the sums over rows, `inverse_penalties` [B] 1/C.
        """
        weights = curvatures[:, :, None]
        parts = weights * self.eigenvalues + inverse_penalties[:, None, None]
        return torch.cat([parts, weights], dim=2).sqrt()

    def inner(self, by_weights: Tensor, by_intercepts: Tensor, scales: Tensor) -> Tensor:
        """Return a gradient [B, K, D] and [B, K] in the inner coordinates [B, K, D + 1]."""
        rotated = by_weights @ self.eigenvectors
        return torch.cat([rotated, by_intercepts[:, :, None]], dim=2) / scales

    def outer(self, step: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Return a step in the inner coordinates as one of weights and intercepts."""
        scaled = step / scales
        return scaled[:, :, :-1] @ self.eigenvectors.T, scaled[:, :, -1]
