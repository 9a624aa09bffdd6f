"""Losses of many problems at once by their margins: logistic, multinomial and squared.

With their gradients, Hessians and derivatives along a direction, all of which need no features.
Shapes: N rows, B problems, K outputs of a problem (more than 1 for three classes or more).
Rows outside a problem's training part count nothing.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Loss(Protocol):
    """A loss: the sum over rows of a convex function of margins [B, K, N]."""

    def take(self, kept: Tensor) -> "Loss":
        """Return the loss of some of the problems, by their positions."""

    def to(self, dtype: torch.dtype) -> "Loss":
        """Return the same in another floating-point type."""

    def values(self, margins: Tensor) -> Tensor:
        """Return the loss of each problem [B]."""

    def residuals(self, margins: Tensor) -> Tensor:
        """Return the derivatives by the margins [B, K, N]."""

    def along(self, margins: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and second derivative along a change of the margins, both [B]."""

    def hessians(self, margins: Tensor) -> Tensor:
        """Return the sums over rows of the second derivatives by the K margins [B, K, K]."""


@dataclass(frozen=True, kw_only=True)
class BinaryLoss:
    """Logistic loss of two classes; `signs` [B, 1, N] are ±1, or 0 outside the training part."""

    signs: Tensor

    def take(self, kept: Tensor) -> "BinaryLoss":
        return BinaryLoss(signs=self.signs[kept])

    def to(self, dtype: torch.dtype) -> "BinaryLoss":
        return BinaryLoss(signs=self.signs.to(dtype))

    def values(self, margins: Tensor) -> Tensor:
        # softplus does not overflow as exp does; rows with a sign of 0 give log 2 each.
        outside = (self.signs == 0).sum(dim=(1, 2))
        return softplus(-self.signs * margins).sum(dim=(1, 2)) - outside * math.log(2)

    def residuals(self, margins: Tensor) -> Tensor:
        # A sign of 0 makes the derivative 0: masked rows need no further product.
        return -self.signs * torch.sigmoid(-self.signs * margins)

    def along(self, margins: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        wrong = torch.sigmoid(-self.signs * margins)  # the probability of the other class
        change = self.signs * direction
        first = -(wrong * change).sum(dim=(1, 2))
        return first, (wrong * (1 - wrong) * change.square()).sum(dim=(1, 2))

    def hessians(self, margins: Tensor) -> Tensor:
        wrong = torch.sigmoid(-self.signs * margins)
        return (wrong * (1 - wrong) * self.signs.square()).sum(dim=2, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class MultinomialLoss:
    """Multinomial loss (softmax) of K classes.

    `truth` [K, N] is 1 at a row's class, `masks` [B, 1, N] 1 in the training part.
    """

    truth: Tensor
    masks: Tensor

    def take(self, kept: Tensor) -> "MultinomialLoss":
        return MultinomialLoss(truth=self.truth, masks=self.masks[kept])

    def to(self, dtype: torch.dtype) -> "MultinomialLoss":
        return MultinomialLoss(truth=self.truth.to(dtype), masks=self.masks.to(dtype))

    def values(self, margins: Tensor) -> Tensor:
        own = (margins * self.truth).sum(dim=1, keepdim=True)
        return ((margins.logsumexp(dim=1, keepdim=True) - own) * self.masks).sum(dim=(1, 2))

    def residuals(self, margins: Tensor) -> Tensor:
        return (margins.softmax(dim=1) - self.truth) * self.masks

    def along(self, margins: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = margins.softmax(dim=1)
        first = (((probabilities - self.truth) * self.masks) * direction).sum(dim=(1, 2))
        # The second derivative along a direction is its variance under the predicted classes.
        expected = (probabilities * direction).sum(dim=1, keepdim=True)
        spread = (probabilities * (direction - expected).square()).sum(dim=1, keepdim=True)
        return first, (spread * self.masks).sum(dim=(1, 2))

    def hessians(self, margins: Tensor) -> Tensor:
        probabilities = margins.softmax(dim=1)
        # diag(p) − p pᵀ of each row, summed; singular: equal margins of all classes change nothing.
        inside = probabilities * self.masks
        return torch.diag_embed(inside.sum(dim=2)) - inside @ probabilities.transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class SquaredLoss:
    """Squared loss, half the sum; `targets` [B, 1, N], `masks` [B, 1, N] 1 in the training part."""

    targets: Tensor
    masks: Tensor

    def take(self, kept: Tensor) -> "SquaredLoss":
        return SquaredLoss(targets=self.targets[kept], masks=self.masks[kept])

    def to(self, dtype: torch.dtype) -> "SquaredLoss":
        return SquaredLoss(targets=self.targets.to(dtype), masks=self.masks.to(dtype))

    def values(self, margins: Tensor) -> Tensor:
        return self.residuals(margins).square().sum(dim=(1, 2)) / 2

    def residuals(self, margins: Tensor) -> Tensor:
        return (margins - self.targets) * self.masks

    def along(self, margins: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        first = (self.residuals(margins) * direction).sum(dim=(1, 2))
        return first, (direction.square() * self.masks).sum(dim=(1, 2))

    def hessians(self, margins: Tensor) -> Tensor:
        return self.masks.sum(dim=2, keepdim=True)
