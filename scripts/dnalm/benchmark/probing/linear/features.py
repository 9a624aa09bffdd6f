"""Standardised features shared by all fits of one layer, and the preconditioner of these fits.

Shapes: N rows, D features, S splits, B problems (a split and a penalty each), K outputs of a
problem (1 for two classes, else one for each class).
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

BLOCK_ROWS = 4096  # held in float64 at once
GRAM_BLOCKS = 8  # of the columns of the Gram matrix, which is symmetric
MIN_CURVATURE = 1e-3  # of an output, in rows: a class that is certain everywhere has none
# Share of its variance over all rows below which a feature's variance in a split is doubtful: what
# all rows' float32 leaves of its values is rounded to 1e-4 of their SD, or worse.
MIN_VARIANCE_SHARE = 1e-6


class SharedFeatures:
    """Features [N, D] of all splits, as if standardised by each split's training rows.

    `masks` is bool [S, N], true where a row belongs to the training part. `counts` [S], `means` and
    `inverse_scales` [S, D] are those of each split relative to the standardised `values` [N, D].
    `doubtful` bool [S] marks splits in which a feature is nearly constant but not quite: their fits
    are not to be trusted.
    """

    def __init__(
        self, features: np.ndarray, masks: np.ndarray, device: str, dtype: torch.dtype
    ) -> None:
        count, width = features.shape
        self.mean = features.mean(axis=0, dtype=np.float64)
        # Moments about the mean of all rows, in float64: sums of raw squares would cancel.
        variance, first, second = np.zeros(width), *np.zeros((2, len(masks), width))
        weights = masks.astype(np.float64)
        for at in range(0, count, BLOCK_ROWS):
            block = features[at : at + BLOCK_ROWS] - self.mean
            squares = block**2
            variance += squares.sum(axis=0)
            first += weights[:, at : at + BLOCK_ROWS] @ block
            second += weights[:, at : at + BLOCK_ROWS] @ squares
        self.scale = np.sqrt(variance / count)
        self.scale[self.scale == 0] = 1.0  # a constant feature stays 0

        self.values = torch.empty(count, width, dtype=dtype, device=device)
        for at in range(0, count, BLOCK_ROWS):
            block = (features[at : at + BLOCK_ROWS] - self.mean) / self.scale
            self.values[at : at + BLOCK_ROWS] = torch.from_numpy(block).to(device, dtype)
        # Each split's mean and SD differ a little from those of all rows. The difference is applied
        # to the weights, which are few, instead of to the features: no split has its own copy.
        counts = weights.sum(axis=1, keepdims=True)
        means = first / counts / self.scale
        variances = second / counts / self.scale**2 - means**2
        sound = variances > MIN_VARIANCE_SHARE
        self.doubtful = torch.tensor(
            [_any_varies(features, *pair) for pair in zip(masks, ~sound, strict=True)],
            device=device,
        )
        # The weight of a constant feature is 0 at the optimum whatever it is divided by.
        inverse = np.where(sound, 1 / np.sqrt(np.maximum(variances, MIN_VARIANCE_SHARE)), 0.0)
        self.counts, self.means, self.inverse_scales = (
            torch.from_numpy(array).to(device, torch.float64)
            for array in (counts[:, 0], means, inverse)
        )

    def margins(self, weights: Tensor, intercepts: Tensor, splits: Tensor) -> Tensor:
        """Return margins [B, K, N] for weights [B, K, D] on each split's standardised features."""
        raw, shift = self._unscale(weights, intercepts, splits)
        # All problems of all splits in one matrix product: [B·K, D] by [D, N].
        flat, margins = raw.flatten(0, 1), raw.new_empty(*raw.shape[:2], len(self.values))
        for at, block in self._blocks(raw.dtype):
            margins.flatten(0, 1)[:, at : at + len(block)] = flat @ block.T
        return margins.add_(shift[:, :, None])

    def gradients(self, residuals: Tensor, splits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the loss by weights [B, K, D] and intercepts [B, K].

        `residuals` [B, K, N] are its derivatives by the margins, 0 outside a problem's split.
        """
        flat = residuals.flatten(0, 1)
        raw = sum(flat[:, at : at + len(block)] @ block for at, block in self._blocks(flat.dtype))
        raw, by_intercept = raw.unflatten(0, residuals.shape[:2]), residuals.sum(dim=2)
        means, inverse = (
            array[splits].to(raw.dtype)[:, None] for array in (self.means, self.inverse_scales)
        )
        # The chain rule of `_unscale`: weights reach the margins through their shift as well.
        return (raw - by_intercept[:, :, None] * means) * inverse, by_intercept

    def original(
        self, weights: Tensor, intercepts: Tensor, splits: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights float64 [B, K, D] and intercepts [B, K] on features not standardised."""
        raw, shift = self._unscale(weights.double(), intercepts.double(), splits)
        coefficients = raw.cpu().numpy() / self.scale
        return coefficients, shift.cpu().numpy() - coefficients @ self.mean

    def _unscale(
        self, weights: Tensor, intercepts: Tensor, splits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return weights and intercepts of the same margins on `values`."""
        means, inverse = (
            array[splits].to(weights.dtype)[:, None] for array in (self.means, self.inverse_scales)
        )
        raw = weights * inverse
        return raw, intercepts - (raw * means).sum(dim=2)

    def _blocks(self, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
        """Yield the rows in the type that is computed in, with where they begin."""
        # Another type is made block by block: a float64 copy of a layer is twice the layer.
        size = len(self.values) if dtype == self.values.dtype else BLOCK_ROWS
        for at in range(0, len(self.values), size):
            yield at, self.values[at : at + size].to(dtype)


def _any_varies(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> bool:
    """Return whether any feature of a mask [D] differs among the rows of a mask [N]."""
    values = features[np.ix_(rows, columns)]
    return bool((values != values[:1]).any())


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """Preconditioned coordinates of B problems, in which their Hessians are near the identity.

    `rotation` [B, K, K] of the outputs, then `scales` [B, K, D + 1] of weights and intercept.
    """

    rotation: Tensor
    scales: Tensor

    def take(self, kept: Tensor) -> "Coordinates":
        """Return the coordinates of some problems, by their positions."""
        return Coordinates(rotation=self.rotation[kept], scales=self.scales[kept])

    def step_from(self, other: "Coordinates", step: Tensor) -> Tensor:
        """Return in these coordinates a step [B, K, D + 1] given in others."""
        rotation = self.rotation.transpose(1, 2) @ other.rotation
        return rotation @ (step / other.scales) * self.scales

    def gradient_from(self, other: "Coordinates", gradient: Tensor) -> Tensor:
        """Return in these coordinates a gradient [B, K, D + 1] given in others."""
        # Steps are multiplied by scales, gradients divided: their products stay the same.
        rotation = self.rotation.transpose(1, 2) @ other.rotation
        return rotation @ (gradient * other.scales) / self.scales


class Preconditioner:
    """Preconditioner by the eigenvectors of the features' second moments, one matrix for all fits.

    Where all weights are 0, every row has the same second derivatives by its K margins. There the
    Hessian is the Kronecker product of their matrix and the features' moments, plus the penalty on
    its diagonal: in the coordinates of both matrices' eigenvectors, divided by the roots of its
    eigenvalues, it is the identity, whatever the penalty. Later it is nearly so with the sum of all
    rows' matrices.
    """

    def __init__(self, values: Tensor) -> None:
        count, width = values.shape
        # Only the upper blocks are multiplied out: half the work of the Gram matrix.
        moments = values.new_empty(width, width)
        edges = [width * part // GRAM_BLOCKS for part in range(GRAM_BLOCKS + 1)]
        for start, stop in pairwise(edges):
            moments[start:stop, start:] = values[:, start:stop].T @ values[:, start:]
            moments[stop:, start:stop] = moments[start:stop, stop:].T
        eigenvalues, self.eigenvectors = torch.linalg.eigh(moments)
        self.eigenvalues = eigenvalues.clamp_min(0) / count  # rounding leaves some below 0

    def to(self, dtype: torch.dtype) -> "Preconditioner":
        """Return the same in another type, with the accuracy that it has."""
        other = copy(self)
        other.eigenvalues = self.eigenvalues.to(dtype)
        other.eigenvectors = self.eigenvectors.to(dtype)
        return other

    def coordinates(self, hessians: Tensor, inverse_penalties: Tensor) -> Coordinates:
        """Return the coordinates for `hessians` [B, K, K], summed over rows, and 1/C [B]."""
        curvatures, rotation = torch.linalg.eigh(hessians)
        curvatures = curvatures.clamp_min(MIN_CURVATURE)[:, :, None]
        weights = curvatures * self.eigenvalues + inverse_penalties[:, None, None]
        if rotation.shape[1] > 1:
            # The same number added to all intercepts changes nothing, so the least curvature of
            # intercepts is 0 and any positive number does: the largest keeps its steps small.
            curvatures = torch.cat([curvatures[:, -1:], curvatures[:, 1:]], dim=1)
        scales = torch.cat([weights, curvatures], dim=2).sqrt()
        return Coordinates(rotation=rotation, scales=scales)

    def inner(self, by_weights: Tensor, by_intercepts: Tensor, at: Coordinates) -> Tensor:
        """Return a gradient [B, K, D] and [B, K] in preconditioned coordinates [B, K, D + 1]."""
        rotated = torch.cat([by_weights @ self.eigenvectors, by_intercepts[:, :, None]], dim=2)
        return at.rotation.transpose(1, 2) @ rotated / at.scales

    def outer(self, step: Tensor, at: Coordinates) -> tuple[Tensor, Tensor]:
        """Return a step in preconditioned coordinates as one of weights and intercepts."""
        rotated = at.rotation @ (step / at.scales)
        return rotated[:, :, :-1] @ self.eigenvectors.T, rotated[:, :, -1]
