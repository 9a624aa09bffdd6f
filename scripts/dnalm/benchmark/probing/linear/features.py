"""The features of one layer, standardised once and shared by the fits of all splits.

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

BLOCK = 4096  # rows that are looked at in float64 at once
BLOCKS = 8  # parts of the columns of the Gram matrix, which is symmetric
LEAST = 1e-3  # rows' worth of curvature that no output has less of
# Share of its variance over all rows below which a feature's variance in a split is doubtful: what
# all rows' float32 leaves of its values is rounded to 1e-4 of their SD, or worse.
LEAST_SHARE = 1e-6


class SharedFeatures:
    """Rows [N, D] that every split sees through its mask, standardised by the split's own rows.

    Each split's mean and SD differ a little from those of all rows. That difference is applied to
    the weights, which are few, instead of to the features: no split has a copy of its own.
    `masks` is bool [S, N], true where a row belongs to the training part. `doubtful` bool [S] marks
    splits in which a feature is nearly constant but not quite: their fits are not to be trusted.
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
        sound = variances > LEAST_SHARE
        self.doubtful = torch.tensor(
            [_vary(features, *pair) for pair in zip(masks, ~sound, strict=True)], device=device
        )
        # The weight of a constant feature is 0 at the optimum whatever it is divided by.
        inverse = np.where(sound, 1 / np.sqrt(np.maximum(variances, LEAST_SHARE)), 0.0)
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


def _vary(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> bool:
    """Return whether any of some columns, bool [D], differs among some rows, bool [N]."""
    values = features[np.ix_(rows, columns)]
    return bool((values != values[:1]).any())


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """Of B problems: the `rotation` [B, K, K] of their outputs and the `scales` [B, K, D + 1]."""

    rotation: Tensor
    scales: Tensor

    def take(self, kept: Tensor) -> "Coordinates":
        """Return those of some problems."""
        return Coordinates(rotation=self.rotation[kept], scales=self.scales[kept])

    def step_from(self, other: "Coordinates", step: Tensor) -> Tensor:
        """Return a step [B, K, D + 1] that was given in other coordinates."""
        turn = self.rotation.transpose(1, 2) @ other.rotation
        return turn @ (step / other.scales) * self.scales

    def gradient_from(self, other: "Coordinates", gradient: Tensor) -> Tensor:
        """Return a gradient [B, K, D + 1] that was given in other coordinates."""
        turn = self.rotation.transpose(1, 2) @ other.rotation
        return turn @ (gradient * other.scales) / self.scales


class Preconditioner:
    """The eigenvectors of the features' second moments: one matrix that suits all fits.

    Where all weights are 0, every row has the same second derivatives by its K margins. There the
    Hessian is their matrix times the features' moments, plus the penalty on its diagonal: in the
    coordinates of both matrices' eigenvectors, divided by the roots of its eigenvalues, it is the
    identity, whatever the penalty. Later it is nearly so with the sum of all rows' matrices.
    """

    def __init__(self, values: Tensor) -> None:
        count, width = values.shape
        moments = values.new_empty(width, width)
        edges = [width * part // BLOCKS for part in range(BLOCKS + 1)]
        for start, stop in pairwise(edges):
            moments[start:stop, start:] = values[:, start:stop].T @ values[:, start:]
            moments[stop:, start:stop] = moments[start:stop, stop:].T
        eigenvalues, self.eigenvectors = torch.linalg.eigh(moments)
        self.eigenvalues = eigenvalues.clamp_min(0) / count

    def to(self, dtype: torch.dtype) -> "Preconditioner":
        """Return the same in another type; its eigenvectors keep the accuracy they have."""
        other = copy(self)
        other.eigenvalues = self.eigenvalues.to(dtype)
        other.eigenvectors = self.eigenvectors.to(dtype)
        return other

    def coordinates(self, hessians: Tensor, inverse_penalties: Tensor) -> Coordinates:
        """Return the coordinates for sums of rows' second derivatives [B, K, K] and 1/C [B]."""
        curvatures, rotation = torch.linalg.eigh(hessians)
        curvatures = curvatures.clamp_min(LEAST)[:, :, None]
        weights = curvatures * self.eigenvalues + inverse_penalties[:, None, None]
        if rotation.shape[1] > 1:
            # Equal intercepts of all classes change nothing: their curvature is what one likes.
            curvatures = torch.cat([curvatures[:, -1:], curvatures[:, 1:]], dim=1)
        scales = torch.cat([weights, curvatures], dim=2).sqrt()
        return Coordinates(rotation=rotation, scales=scales)

    def inner(self, by_weights: Tensor, by_intercepts: Tensor, at: Coordinates) -> Tensor:
        """Return a gradient [B, K, D] and [B, K] in the inner coordinates [B, K, D + 1]."""
        rotated = torch.cat([by_weights @ self.eigenvectors, by_intercepts[:, :, None]], dim=2)
        return at.rotation.transpose(1, 2) @ rotated / at.scales

    def outer(self, step: Tensor, at: Coordinates) -> tuple[Tensor, Tensor]:
        """Return a step in the inner coordinates as one of weights and intercepts."""
        rotated = at.rotation @ (step / at.scales)
        return rotated[:, :, :-1] @ self.eigenvectors.T, rotated[:, :, -1]
