"""Certificate of a fit: a bound on its distance from the optimum, by strong convexity, in float64.

Shapes as in `features.py`. It asks for the gradient at the fit alone, whoever found it.
"""

import torch
from torch import Tensor

from dnalm.benchmark.probing.linear.features import SharedFeatures
from dnalm.benchmark.probing.linear.lbfgs import Problems, Solution, penalised_gradients, penalty

MAX_NEWTON_STEPS = 20  # of the intercepts, which converge in a few
MAX_INTERCEPT_SLOPE = 1e-9  # derivative by an intercept that counts as 0, for each training row


def certify(shared: SharedFeatures, problems: Problems, solution: Solution) -> Tensor:
    """Return upper bounds [B] on (objective - optimum) / objective; polish intercepts in place.

    The objective minimised over its intercepts is strongly convex in the weights with modulus 1/C,
    that of the penalty: at optimal intercepts it lies at most C |gradient|² / 2 above the optimum.
    (The duality gap at the dual point that the residuals give is the same number.) Infinite where
    the intercepts cannot be brought to their optimum. A solution that overflowed is set to 0, where
    a later fit can start.
    """
    # Whatever type a fit was found in: in float32 the gradient at an optimum is mostly rounding.
    exact = problems.to(torch.float64)
    weights, intercepts = solution.weights.double(), solution.intercepts.double()
    sound = weights.isfinite().all(dim=2).all(dim=1) & intercepts.isfinite().all(dim=1)
    weights = torch.where(sound[:, None, None], weights, 0.0)
    intercepts = torch.where(sound[:, None], intercepts, 0.0)
    margins = shared.margins(weights, intercepts, exact.splits)
    # The bound holds at optimal intercepts only. Given the margins, these cost no product with the
    # features.
    shift = torch.zeros_like(intercepts)
    for _ in range(MAX_NEWTON_STEPS):
        slopes = exact.loss.residuals(margins).sum(dim=2)
        # A number added to all intercepts of a problem changes nothing, hence no plain inverse.
        inverses = torch.linalg.pinv(exact.loss.hessians(margins), hermitian=True)
        # Far from the optimum a Newton step of a logistic loss may overshoot: one unit at most.
        step = (inverses @ slopes[:, :, None])[:, :, 0].clamp(-1, 1)
        if not step.abs().max() > MAX_INTERCEPT_SLOPE:
            break
        shift, margins = shift - step, margins - step[:, :, None]
    gradient, by_intercepts = penalised_gradients(shared, exact, weights, margins)
    objective = exact.loss.values(margins) + penalty(exact, weights)
    bound = gradient.square().sum(dim=(1, 2)) / exact.inverse_penalties / 2 / objective
    solution.weights, solution.intercepts = weights, intercepts + shift
    # Derivatives are sums over rows, and so is their rounding.
    flat = by_intercepts.abs().amax(dim=1) <= MAX_INTERCEPT_SLOPE * shared.counts[exact.splits]
    return torch.where(flat & bound.isfinite(), bound, torch.inf)
