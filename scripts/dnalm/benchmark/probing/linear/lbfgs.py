"""L-BFGS for many penalised regressions on the same features at once, preconditioned.

With a line search by Newton's method along every step. One step of all problems is two matrix
products with the features; problems that are done leave them. Shapes as in `features.py`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dnalm.benchmark.probing.linear.features import Coordinates, Preconditioner, SharedFeatures
from dnalm.benchmark.probing.linear.losses import Loss

MAX_PAIRS = 8  # last steps that L-BFGS remembers
MAX_TRIALS = 8  # points of a line search
# Share of the slope at its start at which a line search ends, Wolfe's curvature condition.
MAX_SLOPE_SHARE = 0.1
# Share of the curvature that it was made for, below which the preconditioner is renewed.
RENEWAL_SHARE = 0.5
# Share of the problems that have to be done before the arrays are cut down to the others: to copy
# these after every step would cost more than to carry a few along.
MIN_DONE_SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Problems:
    """B problems on shared features: `splits` int64 [B], `inverse_penalties` 1/C [B], the loss."""

    splits: Tensor
    inverse_penalties: Tensor
    loss: Loss

    def take(self, kept: Tensor) -> "Problems":
        """Return some of the problems, by their positions."""
        return Problems(
            splits=self.splits[kept],
            inverse_penalties=self.inverse_penalties[kept],
            loss=self.loss.take(kept),
        )

    def to(self, dtype: torch.dtype) -> "Problems":
        """Return the same in another floating-point type."""
        return Problems(
            splits=self.splits,
            inverse_penalties=self.inverse_penalties.to(dtype),
            loss=self.loss.to(dtype),
        )

    def __len__(self) -> int:
        return len(self.splits)


@dataclass(kw_only=True)
class Solution:
    """Weights [B, K, D] on each split's standardised features, intercepts [B, K], steps [B]."""

    weights: Tensor
    intercepts: Tensor
    steps: Tensor

    def take(self, kept: Tensor, dtype: torch.dtype) -> "Solution":
        """Return the solutions of some problems, by their positions, in a floating-point type."""
        return Solution(
            weights=self.weights[kept].to(dtype),
            intercepts=self.intercepts[kept].to(dtype),
            steps=self.steps[kept],
        )

    def put(self, kept: Tensor, other: "Solution") -> None:
        """Replace the solutions of some problems, by their positions."""
        self.weights[kept] = other.weights.to(self.weights.dtype)
        self.intercepts[kept] = other.intercepts.to(self.intercepts.dtype)
        self.steps[kept] = other.steps


class Memory:
    """The curvature pairs of L-BFGS: last changes of point and gradient, [B, K, D + 1] each."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, change: Tensor, difference: Tensor) -> None:
        """Add a pair and forget the oldest beyond MAX_PAIRS."""
        product = _dot(change, difference)
        # A convex objective has curvature along every step, but rounding may leave none: such a
        # pair counts nothing. Masked and not removed, as other problems' pairs may be sound.
        sound = product > 1e-10 * _dot(difference, difference)
        inverse = torch.where(sound, 1 / torch.where(sound, product, 1.0), 0.0)
        self.pairs = [*self.pairs[1 - MAX_PAIRS :], (change, difference, inverse)]

    def move(self, old: Coordinates, new: Coordinates) -> None:
        """Change the pairs to new coordinates; the product of the two of a pair stays as it is."""
        self.pairs = [
            (new.step_from(old, change), new.gradient_from(old, difference), inverse)
            for change, difference, inverse in self.pairs
        ]

    def take(self, kept: Tensor) -> None:
        """Keep the pairs of some problems, by their positions."""
        self.pairs = [
            (change[kept], difference[kept], inverse[kept])
            for change, difference, inverse in self.pairs
        ]

    def direction(self, gradient: Tensor) -> Tensor:
        """Return a descent direction [B, K, D + 1]: the two-loop recursion of Nocedal (1980)."""
        step, parts = -gradient, []
        for change, difference, inverse in reversed(self.pairs):
            part = inverse * _dot(change, step)
            parts.append(part)
            step = step - _wide(part) * difference
        if self.pairs:
            _, difference, inverse = self.pairs[-1]
            # The first guess of the inverse Hessian, scaled to the curvature of the last step.
            size = inverse * _dot(difference, difference)
            step = step * _wide(torch.where(size > 0, 1 / torch.where(size > 0, size, 1.0), 1.0))
        for (change, difference, inverse), part in zip(self.pairs, reversed(parts), strict=True):
            step = step + _wide(part - inverse * _dot(difference, step)) * change
        return step


def minimise(
    shared: SharedFeatures,
    preconditioner: Preconditioner,
    problems: Problems,
    start: Solution,
    tolerance: float,
    max_steps: int,
    patience: int,
) -> None:
    """Minimise all problems from `start` by L-BFGS, in place, each to within `tolerance`.

    That is the distance from the optimum as a share of the objective. Ends after `max_steps` steps,
    or after `patience` steps in which no upper bound on that distance is the best so far. The bound
    takes the intercepts for nearly optimal, so what is found has to be certified
    (`dnalm.benchmark.probing.linear.certificate`).
    """
    active = torch.arange(len(problems), device=start.weights.device)
    weights, intercepts = start.weights.clone(), start.intercepts.clone()
    margins = shared.margins(weights, intercepts, problems.splits)
    reference_hessians = problems.loss.hessians(margins)
    at = preconditioner.coordinates(reference_hessians, problems.inverse_penalties)
    memory, last = Memory(), None
    before = start.steps.clone()
    best = torch.full_like(problems.inverse_penalties, torch.inf)
    best_step = torch.zeros_like(problems.splits)
    for step in range(max_steps + 1):
        gradient, by_intercepts = penalised_gradients(shared, problems, weights, margins)
        inner = preconditioner.inner(gradient, by_intercepts, at)
        # The penalty makes the objective strongly convex in the weights with modulus 1/C: it lies
        # at most C |gradient|² / 2 above its optimum. Intercepts add what a Newton step may gain.
        bound = gradient.square().sum(dim=(1, 2)) / problems.inverse_penalties / 2
        bound += by_intercepts.square().sum(dim=1) / at.scales[:, 0, -1].square()
        objective = problems.loss.values(margins) + penalty(problems, weights)
        better = bound < best
        best, best_step = torch.where(better, bound, best), torch.where(better, step, best_step)
        # Negated, so that a bound that is not a number goes on until patience ends it.
        going = (
            ~(bound <= tolerance * objective) & (step - best_step < patience) & (step < max_steps)
        )
        # Both gradients of a pair are in the coordinates of the step between them.
        if last is not None:
            memory.add(last[0], inner - last[1])
        # Where a fit separates its rows, curvature vanishes, and coordinates made for more of it
        # would hold the steps short.
        hessians = problems.loss.hessians(margins)
        outdated = _trace(hessians) < RENEWAL_SHARE * _trace(reference_hessians)
        if outdated.any():
            reference_hessians = torch.where(_wide(outdated), hessians, reference_hessians)
            new = preconditioner.coordinates(reference_hessians, problems.inverse_penalties)
            memory.move(at, new)
            at, inner = new, new.gradient_from(at, inner)
        kept = going.nonzero()[:, 0]
        if len(kept) <= (1 - MIN_DONE_SHARE) * len(active) or not len(kept):
            start.weights[active], start.intercepts[active] = weights, intercepts
            start.steps[active] = before[active] + step
            if not len(kept):
                return
            active, problems, at = active[kept], problems.take(kept), at.take(kept)
            weights, intercepts, margins = weights[kept], intercepts[kept], margins[kept]
            best, best_step, inner = best[kept], best_step[kept], inner[kept]
            reference_hessians = reference_hessians[kept]
            memory.take(kept)

        direction = memory.direction(inner)
        by_weights, shift = preconditioner.outer(direction, at)
        # Margins are linear in the point: their change is one product with the features, and the
        # search and the next step need no other for them.
        change = shared.margins(by_weights, shift, problems.splits)
        length = _line_search(problems, weights, by_weights, margins, change)
        weights = weights + _wide(length) * by_weights
        intercepts = intercepts + length[:, None] * shift
        margins = margins + _wide(length) * change
        last = (_wide(length) * direction, inner)


def penalised_gradients(
    shared: SharedFeatures, problems: Problems, weights: Tensor, margins: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the penalised losses by weights [B, K, D] and intercepts [B, K]."""
    by_weights, by_intercepts = shared.gradients(problems.loss.residuals(margins), problems.splits)
    return by_weights + weights * _wide(problems.inverse_penalties), by_intercepts


def penalty(problems: Problems, weights: Tensor) -> Tensor:
    """Return the L2 penalty of each problem [B]; intercepts have none."""
    return weights.square().sum(dim=(1, 2)) * problems.inverse_penalties / 2


def _line_search(
    problems: Problems, weights: Tensor, step: Tensor, margins: Tensor, change: Tensor
) -> Tensor:
    """Return the lengths [B] of the steps at which the slopes along them nearly vanish.

    Newton's method on the slope, kept within a bracket; it costs no product with the features.
    """
    penalty_curvature = _dot(step, step) * problems.inverse_penalties
    penalty_slope = _dot(weights, step) * problems.inverse_penalties
    # The whole step first: near the optimum the step of a quasi-Newton method is right as it is.
    length, low, high = (
        torch.ones_like(penalty_curvature),
        torch.zeros_like(penalty_curvature),
        torch.full_like(penalty_curvature, torch.inf),
    )
    max_slope = MAX_SLOPE_SHARE * (problems.loss.along(margins, change)[0] + penalty_slope).abs()
    for _ in range(MAX_TRIALS):
        slope, curvature = problems.loss.along(margins + _wide(length) * change, change)
        slope, curvature = (
            slope + penalty_slope + length * penalty_curvature,
            curvature + penalty_curvature,
        )
        found = slope.abs() <= max_slope
        if found.all():
            break
        # Convex along the step: where the slope is negative the minimum lies beyond.
        low, high = torch.where(slope < 0, length, low), torch.where(slope < 0, high, length)
        newton = length - slope / curvature
        halfway = torch.where(high.isinf(), 2 * length, (low + high) / 2)
        # A Newton step out of the bracket is replaced by bisection, or doubling where it is open.
        inside = (newton > low) & (newton < high)
        length = torch.where(found, length, torch.where(inside, newton, halfway))
    # Where no trial was good enough, the longest that is known to lower the objective.
    return torch.where(found | (low == 0), length, low)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(dim=(1, 2))


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum(dim=1)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]
