"""Batched logistic and ridge regression: all splits, penalties and labels of a layer, in torch.

Shapes: N rows, D features, S splits, P penalties, J outputs: one for two classes, else one for each
class, label or target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dnalm.benchmark.probing.linear.certificate import certify
from dnalm.benchmark.probing.linear.features import Preconditioner, SharedFeatures
from dnalm.benchmark.probing.linear.fitted import LinearModel, activate_margins, spread_classes
from dnalm.benchmark.probing.linear.lbfgs import minimise
from dnalm.benchmark.probing.linear.problems import ProblemGrid
from dnalm.benchmark.probing.linear.tolerances import MAX_CERTIFIED_GAP, TARGET_GAP
from dnalm.benchmark.tasks.kinds import CROSS_ENTROPY, find_kind

FLOAT32_PATIENCE = 10  # steps without a better bound after which float32 has given what it can
MAX_MARGINS = 1 << 25  # in one array, 128 MiB in float32; more problems are fitted in turns


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Coefficients on features as given: weights float64 [S, P, J, D], intercepts [S, P, J].

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
        """The mask of fits that are known to be optimal, bool [S, P]."""
        return self.gaps <= MAX_CERTIFIED_GAP

    def outputs(self, features: np.ndarray, split: int) -> np.ndarray:
        """Return a split's predictions for other rows, float64 [P, rows, C].

        Probabilities of classes or labels, or the values of a regression.
        """
        penalties, outputs, width = self.weights[split].shape
        flat = self.weights[split].reshape(penalties * outputs, width)
        margins = (features.astype(np.float64) @ flat.T).reshape(-1, penalties, outputs)
        margins = margins.swapaxes(0, 1) + self.intercepts[split][:, None]
        return activate_margins(margins, self.kind)

    def model(self, split: int, penalty: int, classes: int) -> LinearModel:
        """Return the model of one split and penalty, by their numbers, for all `classes`."""
        weights, intercepts = self.weights[split, penalty], self.intercepts[split, penalty]
        if find_kind(self.kind).loss == CROSS_ENTROPY:
            # A split that lacks a class among others is left to scikit-learn: only the last ones
            # of the table may be missing here, in all splits.
            present = np.arange(max(2, len(weights)))
            weights, intercepts = spread_classes(weights, intercepts, present, max(2, classes))
        width = weights.shape[1]
        return LinearModel(
            kind=self.kind,
            mean=np.zeros(width),
            scale=np.ones(width),
            weights=weights,
            intercepts=intercepts,
        )


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
    """Return the coefficients of every split at every penalty (scikit-learn's C), fitted together.

    `features` [N, D] and `labels` [N] or [N, R] of all rows, `trainings` the positions of each
    split's training rows. As `LogisticRegression` on standardised features: an L2 penalty but on
    the intercept, softmax over more than two classes, one model for each label of several; for
    numbers as `Ridge` with alpha 1/C on standardised targets. In float32 first; what rounding keeps
    from the optimum goes on in float64. Infinite is the gap of a split that lacks one of several
    classes, or in which a feature is nearly constant.
    """
    # Rows that no split trains on have no part in the shared mean and SD, not even by rounding.
    rows = np.unique(np.concatenate(trainings))
    masks = np.stack([np.isin(rows, training, assume_unique=True) for training in trainings])
    grid = ProblemGrid(labels[rows], masks, penalties, kind, device)
    solution = grid.start(features.shape[1])
    gaps = torch.where(grid.trivial, 0.0, torch.inf).double()
    shared = SharedFeatures(features[rows], masks, device, torch.float32)
    preconditioner = Preconditioner(shared.values)
    # Most fits reach their optimum at float32's speed; float64 goes on from where it stopped.
    for dtype, patience in ((torch.float32, FLOAT32_PATIENCE), (torch.float64, max_iterations)):
        unfinished = grid.open & ~(gaps <= MAX_CERTIFIED_GAP)
        left = (unfinished & ~shared.doubtful[grid.splits]).nonzero()[:, 0]
        if not len(left):
            break
        if dtype == torch.float64:
            # Standardised anew: rounded to float32 the features have another optimum.
            shared = SharedFeatures(features[rows], masks, device, dtype)
            preconditioner = preconditioner.to(dtype)
        for part in left.split(max(1, MAX_MARGINS // (grid.outputs * len(rows)))):
            problems, piece = grid.problems(part, dtype), solution.take(part, dtype)
            minimise(shared, preconditioner, problems, piece, TARGET_GAP, max_iterations, patience)
            # Always in float64, and with the gap's own guarantee: how a fit was found is no matter.
            gaps[part] = certify(shared, problems, piece)
            solution.put(part, piece)

    weights, intercepts = shared.original(solution.weights, solution.intercepts, grid.splits)
    weights = weights.reshape(*grid.shape, -1, weights.shape[-1])
    intercepts = intercepts.reshape(*grid.shape, -1)
    grid.to_targets(weights, intercepts)
    return Coefficients(
        kind=kind,
        weights=weights,
        intercepts=intercepts,
        gaps=gaps.reshape(*grid.shape, -1).amax(dim=2).cpu().numpy(),
        steps=solution.steps.reshape(*grid.shape, -1).amax(dim=2).cpu().numpy(),
    )
