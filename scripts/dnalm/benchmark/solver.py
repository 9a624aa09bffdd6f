"""One interface to both solvers of the probe: scikit-learn's, and all fits of a layer at once.

Shapes: N rows, F features, S splits, P penalties, C classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from dnalm.benchmark.regression import fit_path, standardise

# Below so many products, about a second of work, to load torch takes longer than scikit-learn.
SMALL = 1e10
# The batched solver takes the eigenvectors of a matrix of F by F: 20 s at 4,096 features.
MOST_FEATURES = 8192

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """`solver` is auto, batched, newton-cholesky or lbfgs; `device` is where batched computes."""

    solver: str
    max_iterations: int
    device: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One fit and what it says about other rows [rows, C]: probabilities, or numbers.

    `gap` bounds (objective - optimum) / objective where the batched solver ended within it; None
    says that scikit-learn made the fit.
    """

    outputs: np.ndarray
    converged: bool
    iterations: int
    gap: float | None


def solve(
    features: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    penalties: Sequence[float],
    kind: str,
    classes: int,
    config: SolverConfig,
    threads: int,
) -> list[list[Outcome]]:
    """Fit every split at every penalty (ascending) and return [S][P] outcomes.

    `parts` holds, for every split, the positions of its training rows and of the rows to be
    predicted; `classes` counts classes, labels or targets. Features are standardised by the
    training rows' mean and SD; the penalty is L2 with scikit-learn's C, the intercept has none.
    Several labels have a logistic regression each; targets a ridge regression, standardised, with
    alpha 1/C. Whatever the batched solver cannot certify, scikit-learn fits again.
    """
    if _choose(config, features, parts, penalties, classes) != "batched":
        return _reference_all(
            features, labels, parts, [penalties] * len(parts), kind, classes, config, threads
        )
    outcomes, missing = _batched(features, labels, parts, penalties, kind, classes, config, threads)
    if any(missing):
        log.warning(
            "%d of %d fits are left to scikit-learn: the batched solver ended too far from the "
            "optimum, or a training part lacks a class",
            sum(map(len, missing)),
            len(parts) * len(penalties),
        )
    again = _reference_all(features, labels, parts, missing, kind, classes, config, threads)
    for split, found in enumerate(again):
        for penalty, outcome in zip(missing[split], found, strict=True):
            outcomes[split][penalties.index(penalty)] = outcome
    return outcomes


def _choose(
    config: SolverConfig,
    features: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    penalties: Sequence[float],
    outputs: int,
) -> str:
    if config.solver != "auto":
        return config.solver
    rows, width = features.shape
    fits = len(parts) * len(penalties) * outputs
    suited = width <= MOST_FEATURES and fits * rows * width**2 > SMALL
    return "batched" if suited else "auto"


def _batched(
    features: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    penalties: Sequence[float],
    kind: str,
    classes: int,
    config: SolverConfig,
    threads: int,
) -> tuple[list[list[Outcome | None]], list[list[float]]]:
    """Return the outcomes that are certified, and the penalties of the others for each split."""
    import torch  # a second that small tasks need not spend

    from dnalm.benchmark.batched import fit_grid

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fits = fit_grid(
            features,
            labels,
            [training for training, _ in parts],
            penalties,
            kind=kind,
            max_iterations=config.max_iterations,
            device=config.device,
        )
    finally:
        torch.set_num_threads(before)
    outcomes, missing = [], []
    for split, (_, others) in enumerate(parts):
        certified = fits.certified[split]
        outputs = fits.outputs(features[others], split)
        # A class that no training row has gets a column of 0.
        outputs = np.pad(outputs, ((0, 0), (0, 0), (0, max(0, classes - outputs.shape[2]))))
        outcomes.append(
            [
                Outcome(
                    outputs=outputs[number],
                    converged=True,
                    iterations=int(fits.steps[split, number]),
                    gap=float(fits.gaps[split, number]),
                )
                if certified[number]
                else None
                for number in range(len(penalties))
            ]
        )
        missing.append([p for p, good in zip(penalties, certified, strict=True) if not good])
    return outcomes, missing


def _reference_all(
    features: np.ndarray,
    labels: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    penalties: Sequence[Sequence[float]],
    kind: str,
    classes: int,
    config: SolverConfig,
    threads: int,
) -> list[list[Outcome]]:
    """Return scikit-learn's fits of every split at its own penalties."""
    # loky starts fresh interpreters that never import the calling script again, and hands large
    # arrays over as memory maps, so all processes share one copy of the features.
    jobs = (
        joblib.delayed(_reference)(features, labels, training, others, own, kind, classes, config)
        for (training, others), own in zip(parts, penalties, strict=True)
    )
    if not any(penalties):
        return [[] for _ in parts]
    return joblib.Parallel(n_jobs=threads, backend="loky")(jobs)


def _reference(
    features: np.ndarray,
    labels: np.ndarray,
    training: np.ndarray,
    others: np.ndarray,
    penalties: Sequence[float],
    kind: str,
    classes: int,
    config: SolverConfig,
) -> list[Outcome]:
    if not penalties:
        return []
    solver = "auto" if config.solver == "batched" else config.solver
    with threadpool_limits(1):
        fitted, predicted = standardise(features, training, others)
        path = fit_path(
            fitted,
            labels[training],
            predicted,
            penalties,
            kind=kind,
            classes=classes,
            solver=solver,
            max_iterations=config.max_iterations,
        )
        return [
            Outcome(
                outputs=fit.outputs,
                converged=fit.converged,
                iterations=fit.iterations,
                gap=None,
            )
            for fit in path
        ]
