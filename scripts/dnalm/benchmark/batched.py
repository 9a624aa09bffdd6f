"""Logistic regressions of all splits, penalties and labels of one layer, fitted together in torch.

Shapes: N rows, D features, S splits, P penalties, K outputs (1 for two classes, else one for each).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import Tensor

from dnalm.benchmark.certificate import certify
from dnalm.benchmark.descent import Problems, Solution, descend
from dnalm.benchmark.losses import BinaryLoss, MultinomialLoss
from dnalm.benchmark.shared import Preconditioner, SharedFeatures

# Distance from the optimum, as a share of the objective, at which a fit ends; and the largest with
# which it counts as one. Predictions then are those of the exact optimum but for a row or two.
TOLERANCE = 1e-7
CERTIFIED = 1e-6
PATIENCE = 20  # steps without a better bound after which float32 has given what it can
NUMBERS = 1 << 25  # of one array of margins; more problems than that are fitted in turns


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Fits on the given features: weights float64 [S, P, K, D], intercepts [S, P, K].

    `gaps` [S, P] bound (objective - optimum) / objective, infinite where nothing was found;
    `steps` [S, P] are the iterations.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    gaps: np.ndarray
    steps: np.ndarray

    @property
    def certified(self) -> np.ndarray:
        """Which fits are known to be optimal, bool [S, P]."""
        return self.gaps <= CERTIFIED

    def probabilities(self, features: np.ndarray, split: int) -> np.ndarray:
        """Return float64 [P, rows, C] of other rows for all models of a split."""
        penalties, outputs, width = self.weights[split].shape
        flat = self.weights[split].reshape(penalties * outputs, width)
        margins = (features.astype(np.float64) @ flat.T).reshape(-1, penalties, outputs)
        margins = margins.swapaxes(0, 1) + self.intercepts[split][:, None]
        if outputs > 1:
            return softmax(margins, axis=2)
        return np.concatenate([expit(-margins), expit(margins)], axis=2)


def fit_grid(
    features: np.ndarray,
    labels: np.ndarray,
    trainings: Sequence[np.ndarray],
    penalties: Sequence[float],
    *,
    max_iterations: int,
    device: str,
) -> Coefficients:
    """Fit every split (positions of its training rows) at every penalty (scikit-learn's C).

    `labels` are class numbers [N]. As `LogisticRegression` on standardised features: an L2 penalty
    but on the intercept, softmax over more than two classes. In float32 first; what rounding keeps
    from the optimum goes on in float64. The gap of a split that lacks a class is infinite.
    """
    rows = np.unique(np.concatenate(trainings))
    masks = np.stack([np.isin(rows, training, assume_unique=True) for training in trainings])
    task = _Task(labels[rows], masks, penalties, device)
    solution = task.start(features.shape[1])
    gaps = torch.full(solution.steps.shape, torch.inf, dtype=torch.float64, device=device)
    shared = preconditioner = None
    for dtype, patience in ((torch.float32, PATIENCE), (torch.float64, max_iterations)):
        left = (task.complete & ~(gaps <= CERTIFIED)).nonzero()[:, 0]
        if not len(left):
            break
        shared = SharedFeatures(features[rows], masks, device, dtype)
        preconditioner = (
            preconditioner.to(dtype) if preconditioner else Preconditioner(shared.values)
        )
        for part in left.split(max(1, NUMBERS // (task.outputs * len(rows)))):
            problems, piece = task.problems(part, dtype), solution.take(part, dtype)
            descend(shared, preconditioner, problems, piece, TOLERANCE, max_iterations, patience)
            gaps[part] = certify(shared, problems, piece)
            solution.put(part, piece)

    shape = (len(trainings), len(penalties))
    weights, intercepts = solution.weights.cpu().numpy(), solution.intercepts.cpu().numpy()
    if shared is not None:
        weights, intercepts = shared.original(solution.weights, solution.intercepts, task.splits)
    return Coefficients(
        weights=weights.reshape(*shape, *weights.shape[1:]),
        intercepts=intercepts.reshape(*shape, *intercepts.shape[1:]),
        gaps=gaps.cpu().numpy().reshape(shape),
        steps=solution.steps.cpu().numpy().reshape(shape),
    )


class _Task:
    """What is fitted: one problem for each split and penalty, in this order."""

    def __init__(
        self, labels: np.ndarray, masks: np.ndarray, penalties: Sequence[float], device: str
    ) -> None:
        classes = int(labels.max()) + 1
        self.outputs = 1 if classes == 2 else classes
        truth = labels == np.arange(classes)[:, None]
        shares = (masks @ truth.T.astype(np.float64)) / masks.sum(axis=1, keepdims=True)
        # Of two classes the second is the one that a margin speaks for.
        self.truth, self.shares = (
            torch.from_numpy(array).to(device, torch.float64)
            for array in (truth[-self.outputs :], shares[:, -self.outputs :])
        )
        self.masks = torch.from_numpy(masks).to(device, torch.float64)
        splits, numbers = np.indices((len(masks), len(penalties))).reshape(2, -1)
        self.splits = torch.from_numpy(splits).to(device)
        inverse = 1 / np.asarray(penalties, dtype=np.float64)[numbers]
        self.inverse_penalties = torch.from_numpy(inverse).to(device)
        self.complete = ((self.shares > 0) & (self.shares < 1)).all(dim=1)[self.splits]

    def start(self, width: int) -> Solution:
        """Return weights of 0 and the intercepts that are best with them."""
        shares = self.shares[self.splits]
        intercepts = shares.logit() if self.outputs == 1 else shares.log()
        return Solution(
            weights=intercepts.new_zeros(*intercepts.shape, width),
            intercepts=intercepts,
            steps=torch.zeros_like(self.splits),
        )

    def problems(self, part: Tensor, dtype: torch.dtype) -> Problems:
        """Return the problems at some positions."""
        splits = self.splits[part]
        masks = self.masks[splits].to(dtype)[:, None]
        truth = self.truth.to(dtype)
        loss = (
            BinaryLoss(signs=masks * (2 * truth - 1))
            if self.outputs == 1
            else MultinomialLoss(truth=truth, masks=masks)
        )
        return Problems(
            splits=splits,
            inverse_penalties=self.inverse_penalties[part].to(dtype),
            loss=loss,
        )
