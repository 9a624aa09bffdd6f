"""The problems that a task's splits, penalties and labels make, in one stack.

Shapes: N rows, D features, S splits, P penalties, R labels or targets (1 for classes), B = S·P·R
problems in this order, K outputs of each.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dnalm.benchmark.probing.linear.lbfgs import Problems, Solution
from dnalm.benchmark.probing.linear.losses import BinaryLoss, Loss, MultinomialLoss, SquaredLoss
from dnalm.benchmark.scoring.objectives import Scale
from dnalm.benchmark.tasks.kinds import (
    BINARY_CROSS_ENTROPY,
    CROSS_ENTROPY,
    SQUARED_ERROR,
    find_kind,
)


class Stack:
    """What is fitted: `masks` bool [S, N] say which rows a split trains on.

    `labels` are as `label_array` returns them. `open` bool [B] marks the problems that have an
    optimum to look for; `trivial` those without one whose answer is known: labels that are the same
    in all training rows. The rest, splits that lack one of several classes, are not for us.
    """

    def __init__(
        self,
        labels: np.ndarray,
        masks: np.ndarray,
        penalties: Sequence[float],
        kind: str,
        device: str,
    ) -> None:
        self.loss, counts = find_kind(kind).loss, masks.sum(axis=1, keepdims=True)
        if self.loss == SQUARED_ERROR:
            truth = labels.T.astype(np.float64)
            scales = [Scale.of(labels[mask].astype(np.float64)) for mask in masks]
            self.means = np.stack([scale.mean for scale in scales])  # [S, R]
            self.deviations = np.stack([scale.deviation for scale in scales])
        elif self.loss == BINARY_CROSS_ENTROPY:
            truth = labels.T.astype(np.float64)
        else:
            classes = int(labels.max()) + 1
            truth = (labels == np.arange(classes)[:, None]).astype(np.float64)
            # Of two classes the second is the one that a margin speaks for.
            truth = truth[-1:] if classes == 2 else truth
        self.outputs = len(truth) if self.loss == CROSS_ENTROPY else 1
        self.parts = len(truth) // self.outputs
        splits, numbers, parts = np.indices((len(masks), len(penalties), self.parts)).reshape(3, -1)
        inverse = 1 / np.asarray(penalties, dtype=np.float64)[numbers]
        self.shape = (len(masks), len(penalties))
        self.truth, self.masks, self.inverse_penalties, shares = (
            torch.from_numpy(array).to(device, torch.float64)
            for array in (truth, masks, inverse, masks @ truth.T / counts)
        )
        self.splits, self.rows = (torch.from_numpy(array).to(device) for array in (splits, parts))
        self.shares = self._of_problems(shares)
        varied = ((self.shares > 0) & (self.shares < 1)).all(dim=1)
        separate = self.loss == BINARY_CROSS_ENTROPY
        self.trivial = ~varied if separate else torch.zeros_like(varied)
        self.open = torch.ones_like(varied) if self.loss == SQUARED_ERROR else varied

    def _of_problems(self, values: Tensor) -> Tensor:
        """Return, of [S, R·K], those of every problem [B, K]."""
        return values.reshape(len(values), self.parts, self.outputs)[self.splits, self.rows]

    def start(self, width: int) -> Solution:
        """Return weights of 0 and the intercepts that are best with them."""
        if self.loss == SQUARED_ERROR:
            intercepts = torch.zeros_like(self.shares)
        else:
            intercepts = self.shares.logit() if self.outputs == 1 else self.shares.log()
        return Solution(
            weights=intercepts.new_zeros(*intercepts.shape, width),
            intercepts=intercepts,
            steps=torch.zeros_like(self.splits),
        )

    def problems(self, part: Tensor, dtype: torch.dtype) -> Problems:
        """Return the problems at some positions."""
        return Problems(
            splits=self.splits[part],
            inverse_penalties=self.inverse_penalties[part].to(dtype),
            loss=self._loss(part, dtype),
        )

    def _loss(self, part: Tensor, dtype: torch.dtype) -> Loss:
        splits, rows = self.splits[part], self.rows[part]
        masks, truth = self.masks.to(dtype)[splits, None], self.truth.to(dtype)
        if self.loss == SQUARED_ERROR:
            means, deviations = (
                torch.from_numpy(array).to(truth)[splits, rows, None]
                for array in (self.means, self.deviations)
            )
            return SquaredLoss(targets=((truth[rows] - means) / deviations)[:, None], masks=masks)
        if self.outputs > 1:
            return MultinomialLoss(truth=truth, masks=masks)
        return BinaryLoss(signs=masks * (2 * truth - 1)[rows, None])

    def to_targets(self, weights: np.ndarray, intercepts: np.ndarray) -> None:
        """Undo the targets' standardisation, in place; `weights` [S, P, R, D]."""
        if self.loss == SQUARED_ERROR:
            weights *= self.deviations[:, None, :, None]
            intercepts *= self.deviations[:, None]
            intercepts += self.means[:, None]
