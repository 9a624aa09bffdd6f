"""How far from its optimum a fit can be at most, in float64 and whoever found it."""

import torch
from torch import Tensor

from dnalm.benchmark.probing.linear.features import SharedFeatures
from dnalm.benchmark.probing.linear.lbfgs import Problems, Solution, penalised_gradients, penalty

POLISHES = 20  # Newton steps of the intercepts, which converge in a few
FLAT = 1e-9  # share of the rows that the derivatives by optimal intercepts may add up to


def certify(shared: SharedFeatures, problems: Problems, solution: Solution) -> Tensor:
    """Return bounds [B] on (objective - optimum) / objective; polish the intercepts in place.

    Over its intercepts minimised, an objective is still curved by 1/C or more in its weights, so at
    optimal intercepts it lies at most C |gradient|² / 2 above the optimum. (The duality gap at the
    dual point that the residuals give is the same number.) Infinite where the intercepts cannot be
    brought to their optimum. A solution that overflowed is set to 0, where a later fit can start.
    """
    exact = problems.to(torch.float64)
    weights, intercepts = solution.weights.double(), solution.intercepts.double()
    sound = weights.isfinite().all(dim=2).all(dim=1) & intercepts.isfinite().all(dim=1)
    weights = torch.where(sound[:, None, None], weights, 0.0)
    intercepts = torch.where(sound[:, None], intercepts, 0.0)
    margins = shared.margins(weights, intercepts, exact.splits)
    shift = torch.zeros_like(intercepts)
    for _ in range(POLISHES):
        slopes = exact.loss.residuals(margins).sum(dim=2)
        # A number added to all intercepts of a problem changes nothing, hence no plain inverse.
        inverses = torch.linalg.pinv(exact.loss.hessians(margins), hermitian=True)
        step = (inverses @ slopes[:, :, None])[:, :, 0].clamp(-1, 1)
        if not step.abs().max() > FLAT:
            break
        shift, margins = shift - step, margins - step[:, :, None]
    gradient, by_intercepts = penalised_gradients(shared, exact, weights, margins)
    objective = exact.loss.values(margins) + penalty(exact, weights)
    bound = gradient.square().sum(dim=(1, 2)) / exact.inverse_penalties / 2 / objective
    solution.weights, solution.intercepts = weights, intercepts + shift
    flat = by_intercepts.abs().amax(dim=1) <= FLAT * shared.counts[exact.splits]
    return torch.where(flat & bound.isfinite(), bound, torch.inf)
