"""Linear models of all splits, penalties and labels of one layer, fitted together in torch.

Shapes: N rows, D features, S splits, P penalties, J outputs: one for two classes, else one for each
class, label or target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, softmax

from dnalm.benchmark.probing.linear.certificate import certify
from dnalm.benchmark.probing.linear.features import Preconditioner, SharedFeatures
from dnalm.benchmark.probing.linear.lbfgs import descend
from dnalm.benchmark.probing.linear.problems import Stack
from dnalm.benchmark.probing.linear.tolerances import CERTIFIED, GAP
from dnalm.benchmark.tasks.kinds import IDENTITY, SIGMOID, find_kind

PATIENCE = 10  # steps without a better bound after which float32 has given what it can
NUMBERS = 1 << 25  # of one array of margins; more problems than that are fitted in turns


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Fits on the given features: weights float64 [S, P, J, D], intercepts [S, P, J].

    `gaps` [S, P] bound (objective - optimum) / objective, infinite where nothing was found;
    `steps` [S, P] are the iterations. Of several labels those of the worst.
    """

    kind: str
    weights: np.ndarray
    intercepts: np.ndarray
    gaps: np.ndarray
    steps: np.ndarray

    @property
    def certified(self) -> np.ndarray:
        """Which fits are known to be optimal, bool [S, P]."""
        return self.gaps <= CERTIFIED

    def outputs(self, features: np.ndarray, split: int) -> np.ndarray:
        """Return float64 [P, rows, C] of other rows for all models of a split.

        Probabilities of classes or labels, or the values of a regression.
        """
        penalties, outputs, width = self.weights[split].shape
        flat = self.weights[split].reshape(penalties * outputs, width)
        margins = (features.astype(np.float64) @ flat.T).reshape(-1, penalties, outputs)
        margins = margins.swapaxes(0, 1) + self.intercepts[split][:, None]
        activation = find_kind(self.kind).activation
        if activation == IDENTITY:
            return margins
        if activation == SIGMOID:
            return expit(margins)
        if outputs > 1:
            return softmax(margins, axis=2)
        return np.concatenate([expit(-margins), expit(margins)], axis=2)


def fit_grid(
    features: np.ndarray,
    labels: np.ndarray,
    trainings: Sequence[np.ndarray],
    penalties: Sequence[float],
    *,
    kind: str,
    max_iterations: int,
    device: str,
) -> Coefficients:
    """Fit every split (positions of its training rows) at every penalty (scikit-learn's C).

    As `LogisticRegression` on standardised features: an L2 penalty but on the intercept, softmax
    over more than two classes, one model for each label of several; for numbers as `Ridge` with
    alpha 1/C on standardised targets. In float32 first; what rounding keeps from the optimum goes
    on in float64. Infinite is the gap of a split that lacks one of several classes, or in which a
    feature is nearly constant.
    """
    rows = np.unique(np.concatenate(trainings))
    masks = np.stack([np.isin(rows, training, assume_unique=True) for training in trainings])
    stack = Stack(labels[rows], masks, penalties, kind, device)
    solution = stack.start(features.shape[1])
    gaps = torch.where(stack.trivial, 0.0, torch.inf).double()
    shared = SharedFeatures(features[rows], masks, device, torch.float32)
    preconditioner = Preconditioner(shared.values)
    for dtype, patience in ((torch.float32, PATIENCE), (torch.float64, max_iterations)):
        unfinished = stack.open & ~(gaps <= CERTIFIED)
        left = (unfinished & ~shared.doubtful[stack.splits]).nonzero()[:, 0]
        if not len(left):
            break
        if dtype == torch.float64:
            shared = SharedFeatures(features[rows], masks, device, dtype)
            preconditioner = preconditioner.to(dtype)
        for part in left.split(max(1, NUMBERS // (stack.outputs * len(rows)))):
            problems, piece = stack.problems(part, dtype), solution.take(part, dtype)
            descend(shared, preconditioner, problems, piece, GAP, max_iterations, patience)
            gaps[part] = certify(shared, problems, piece)
            solution.put(part, piece)

    weights, intercepts = shared.original(solution.weights, solution.intercepts, stack.splits)
    weights = weights.reshape(*stack.shape, -1, weights.shape[-1])
    intercepts = intercepts.reshape(*stack.shape, -1)
    stack.to_targets(weights, intercepts)
    return Coefficients(
        kind=kind,
        weights=weights,
        intercepts=intercepts,
        gaps=gaps.reshape(*stack.shape, -1).amax(dim=2).cpu().numpy(),
        steps=solution.steps.reshape(*stack.shape, -1).amax(dim=2).cpu().numpy(),
    )
