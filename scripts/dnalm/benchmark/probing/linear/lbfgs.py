"""Many penalised problems on the same features, brought to their optima together.

L-BFGS with a preconditioner and an exact search along every step. One step of all problems is two
matrix products with the features; problems that are done leave them. Shapes as in `shared.py`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dnalm.benchmark.probing.linear.features import Coordinates, Preconditioner, SharedFeatures
from dnalm.benchmark.probing.linear.losses import Loss

MEMORY = 8  # steps that L-BFGS remembers
TRIALS = 8  # points that are looked at along a step, at most
SLOPE = 0.1  # share of the slope at its start with which a search along a step is content
FALLEN = 0.5  # share of the curvature it was made for, below which the preconditioner is renewed
LEAVE = 0.15  # share of problems that have to be done before the others are moved together


@dataclass(frozen=True, kw_only=True)
class Problems:
    """What tells B problems apart: `splits` int64 [B], `inverse_penalties` 1/C [B], the loss."""

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
        """Return those of some problems, in another floating-point type."""
        return Solution(
            weights=self.weights[kept].to(dtype),
            intercepts=self.intercepts[kept].to(dtype),
            steps=self.steps[kept],
        )

    def put(self, kept: Tensor, other: "Solution") -> None:
        """Take the solutions of some problems over."""
        self.weights[kept] = other.weights.to(self.weights.dtype)
        self.intercepts[kept] = other.intercepts.to(self.intercepts.dtype)
        self.steps[kept] = other.steps


class Memory:
    """The last changes of point and gradient of L-BFGS, [B, K, D + 1] each."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, change: Tensor, difference: Tensor) -> None:
        product = _dot(change, difference)
        # Rounding may leave no curvature: such a pair counts nothing.
        sound = product > 1e-10 * _dot(difference, difference)
        inverse = torch.where(sound, 1 / torch.where(sound, product, 1.0), 0.0)
        self.pairs = [*self.pairs[1 - MEMORY :], (change, difference, inverse)]

    def move(self, old: Coordinates, new: Coordinates) -> None:
        """Take the pairs to new coordinates."""
        self.pairs = [
            (new.step_from(old, change), new.gradient_from(old, difference), inverse)
            for change, difference, inverse in self.pairs
        ]

    def take(self, kept: Tensor) -> None:
        self.pairs = [
            (change[kept], difference[kept], inverse[kept])
            for change, difference, inverse in self.pairs
        ]

    def direction(self, gradient: Tensor) -> Tensor:
        """Return a step that lowers every problem."""
        step, parts = -gradient, []
        for change, difference, inverse in reversed(self.pairs):
            part = inverse * _dot(change, step)
            parts.append(part)
            step = step - _wide(part) * difference
        if self.pairs:
            _, difference, inverse = self.pairs[-1]
            size = inverse * _dot(difference, difference)
            step = step * _wide(torch.where(size > 0, 1 / torch.where(size > 0, size, 1.0), 1.0))
        for (change, difference, inverse), part in zip(self.pairs, reversed(parts), strict=True):
            step = step + _wide(part - inverse * _dot(difference, step)) * change
        return step


def descend(
    shared: SharedFeatures,
    preconditioner: Preconditioner,
    problems: Problems,
    start: Solution,
    tolerance: float,
    most: int,
    patience: int,
) -> None:
    """Bring `start` to within `tolerance` of each optimum, as a share of the objective, in place.

    The distance is bounded by C |gradient|² / 2, because the penalty alone curves the objective by
    1/C. Ends after `most` steps, or after `patience` steps without a lower bound. The intercepts
    are taken for optimal in that bound, so what is found has to be certified
    (`dnalm.benchmark.probing.linear.certificate`).
    """
    active = torch.arange(len(problems), device=start.weights.device)
    weights, intercepts = start.weights.clone(), start.intercepts.clone()
    margins = shared.margins(weights, intercepts, problems.splits)
    made_for = problems.loss.hessians(margins)
    at = preconditioner.coordinates(made_for, problems.inverse_penalties)
    memory, last = Memory(), None
    before = start.steps.clone()
    best = torch.full_like(problems.inverse_penalties, torch.inf)
    best_step = torch.zeros_like(problems.splits)
    for step in range(most + 1):
        gradient, by_intercepts = penalised_gradients(shared, problems, weights, margins)
        inner = preconditioner.inner(gradient, by_intercepts, at)
        bound = gradient.square().sum(dim=(1, 2)) / problems.inverse_penalties / 2
        bound += by_intercepts.square().sum(dim=1) / at.scales[:, 0, -1].square()
        objective = problems.loss.values(margins) + penalty(problems, weights)
        better = bound < best
        best, best_step = torch.where(better, bound, best), torch.where(better, step, best_step)
        # In this order, for a bound that is not a number.
        going = ~(bound <= tolerance * objective) & (step - best_step < patience) & (step < most)
        if last is not None:
            memory.add(last[0], inner - last[1])
        hessians = problems.loss.hessians(margins)
        fallen = _trace(hessians) < FALLEN * _trace(made_for)
        if fallen.any():
            made_for = torch.where(_wide(fallen), hessians, made_for)
            new = preconditioner.coordinates(made_for, problems.inverse_penalties)
            memory.move(at, new)
            at, inner = new, new.gradient_from(at, inner)
        kept = going.nonzero()[:, 0]
        if len(kept) <= (1 - LEAVE) * len(active) or not len(kept):
            start.weights[active], start.intercepts[active] = weights, intercepts
            start.steps[active] = before[active] + step
            if not len(kept):
                return
            active, problems, at = active[kept], problems.take(kept), at.take(kept)
            weights, intercepts, margins = weights[kept], intercepts[kept], margins[kept]
            best, best_step, inner = best[kept], best_step[kept], inner[kept]
            made_for = made_for[kept]
            memory.take(kept)

        direction = memory.direction(inner)
        by_weights, shift = preconditioner.outer(direction, at)
        change = shared.margins(by_weights, shift, problems.splits)
        length = _search(problems, weights, by_weights, margins, change)
        weights = weights + _wide(length) * by_weights
        intercepts = intercepts + length[:, None] * shift
        margins = margins + _wide(length) * change
        last = (_wide(length) * direction, inner)


def penalised_gradients(
    shared: SharedFeatures, problems: Problems, weights: Tensor, margins: Tensor
) -> tuple[Tensor, Tensor]:
    by_weights, by_intercepts = shared.gradients(problems.loss.residuals(margins), problems.splits)
    return by_weights + weights * _wide(problems.inverse_penalties), by_intercepts


def penalty(problems: Problems, weights: Tensor) -> Tensor:
    return weights.square().sum(dim=(1, 2)) * problems.inverse_penalties / 2


def _search(
    problems: Problems, weights: Tensor, step: Tensor, margins: Tensor, change: Tensor
) -> Tensor:
    """Return the lengths [B] of the steps at which the objectives are lowest.

    Newton's method on the slope along the step, which costs no product with the features.
    """
    bend = _dot(step, step) * problems.inverse_penalties
    pull = _dot(weights, step) * problems.inverse_penalties
    length, low, high = (
        torch.ones_like(bend),
        torch.zeros_like(bend),
        torch.full_like(bend, torch.inf),
    )
    enough = SLOPE * (problems.loss.along(margins, change)[0] + pull).abs()
    for _ in range(TRIALS):
        slope, curvature = problems.loss.along(margins + _wide(length) * change, change)
        slope, curvature = slope + pull + length * bend, curvature + bend
        found = slope.abs() <= enough
        if found.all():
            break
        low, high = torch.where(slope < 0, length, low), torch.where(slope < 0, high, length)
        newton = length - slope / curvature
        halfway = torch.where(high.isinf(), 2 * length, (low + high) / 2)
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
