"""Solver of the linear probe: all fits of a layer at once, or one by one by scikit-learn.

Shapes: N rows, F features, S splits, P penalties, C classes, labels or targets.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from dnalm.benchmark.probing.linear.fitted import LinearModel
from dnalm.benchmark.probing.linear.scikit import fit_path, standardise
from dnalm.jobs.progress import Progress, Tally
from dnalm.jobs.workers import run_in_workers

# Below so many multiplications, about a second of work, to load torch takes longer than
# scikit-learn.
MIN_BATCHED_PRODUCTS = 1e10
# The batched solver takes the eigenvectors of a matrix of F by F: 20 s at 4,096 features, and at
# more than this minutes and gigabytes.
MAX_BATCHED_FEATURES = 8192

# Positions of the rows that a split trains on, and of those that are predicted.
Part = tuple[np.ndarray, np.ndarray]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """Settings of the solver, part of the section `probe` of the config.

    `solver` is auto, batched, newton-cholesky or lbfgs; `device` is where batched computes.
    """

    solver: str
    max_iterations: int
    device: str


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one feature set [N, F] with labels; `classes` counts classes, labels or targets."""

    features: np.ndarray
    labels: np.ndarray
    kind: str
    classes: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The predictions of one fit for other rows [rows, C], probabilities or numbers; how it ended.

    `gap` bounds (objective - optimum) / objective where the batched solver ended within it; None
    says that scikit-learn made the fit. `model` is what was fitted, None where it is not kept.
    """

    outputs: np.ndarray
    converged: bool
    iterations: int
    gap: float | None
    model: LinearModel | None


def solve(
    rows: Rows,
    parts: Sequence[Part],
    penalties: Sequence[float],
    config: SolverConfig,
    threads: int,
    progress: Progress | None = None,
    *,
    keep_models: bool = False,
) -> list[list[Outcome]]:
    """Return the fits of every split at every penalty (ascending), [S][P].

    Features are standardised by the training rows' mean and SD; the penalty is L2 with
    scikit-learn's C, the intercept has none. Several labels have a logistic regression each;
    targets a ridge regression, standardised, with alpha 1/C. Features too wide for the batched
    solver, and whatever it cannot certify, scikit-learn fits. `progress` is told of every fit; with
    `keep_models` outcomes hold their models, which of hundreds of labels are large. Raises
    InputError when the device is not there.
    """
    progress = progress or Progress("fit", "fits", visible=False)
    if _choose(rows, parts, penalties, config) != "batched":
        every = [penalties] * len(parts)
        return _fit_all_scikit(rows, parts, every, config, threads, progress, keep_models)
    outcomes = _fit_batched(rows, parts, penalties, config, threads, keep_models)
    missing = [
        [penalty for penalty, one in zip(penalties, path, strict=True) if one is None]
        for path in outcomes
    ]
    progress.advance(len(parts) * len(penalties) - sum(map(len, missing)))
    if any(missing):
        log.warning(
            "%d of %d fits are left to scikit-learn: the batched solver ended too far from the "
            "optimum, or a training part lacks a class or holds a nearly constant feature",
            sum(map(len, missing)),
            len(parts) * len(penalties),
        )
    fitted = _fit_all_scikit(rows, parts, missing, config, threads, progress, keep_models)
    again = map(iter, fitted)
    return [
        [next(found) if one is None else one for one in path]
        for path, found in zip(outcomes, again, strict=True)
    ]


def _choose(
    rows: Rows, parts: Sequence[Part], penalties: Sequence[float], config: SolverConfig
) -> str:
    count, width = rows.features.shape
    if width > MAX_BATCHED_FEATURES and config.solver in ("auto", "batched"):
        if config.solver == "batched":
            log.warning(
                "features of %d numbers are left to scikit-learn: the batched solver takes %d",
                width,
                MAX_BATCHED_FEATURES,
            )
        return "auto"
    if config.solver != "auto":
        return config.solver
    fits = len(parts) * len(penalties) * rows.classes
    return "batched" if fits * count * width**2 > MIN_BATCHED_PRODUCTS else "auto"


def _fit_batched(
    rows: Rows,
    parts: Sequence[Part],
    penalties: Sequence[float],
    config: SolverConfig,
    threads: int,
    keep_models: bool,
) -> list[list[Outcome | None]]:
    """Return [S][P] outcomes, None where a fit is not certified."""
    import torch  # a second that small tasks need not spend

    from dnalm.benchmark.probing.linear.batched import fit_grid
    from dnalm.devices import find_device

    device = find_device(config.device, "probe.device")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fits = fit_grid(
            rows.features,
            rows.labels,
            [training for training, _ in parts],
            penalties,
            kind=rows.kind,
            max_iterations=config.max_iterations,
            device=device,
        )
    finally:
        torch.set_num_threads(before)
    outcomes = []
    for split, (_, others) in enumerate(parts):
        outputs = fits.outputs(rows.features[others], split)
        # A class that no training row has gets a column of 0.
        lacking = max(0, rows.classes - outputs.shape[2])
        outputs = np.pad(outputs, ((0, 0), (0, 0), (0, lacking)))
        outcomes.append(
            [
                Outcome(
                    outputs=outputs[number],
                    converged=True,
                    iterations=int(fits.steps[split, number]),
                    gap=float(fits.gaps[split, number]),
                    model=fits.model(split, number, rows.classes) if keep_models else None,
                )
                if fits.certified[split, number]
                else None
                for number in range(len(penalties))
            ]
        )
    return outcomes


def _fit_all_scikit(
    rows: Rows,
    parts: Sequence[Part],
    penalties: Sequence[Sequence[float]],
    config: SolverConfig,
    threads: int,
    progress: Progress,
    keep_models: bool,
) -> list[list[Outcome]]:
    """Return scikit-learn's fits of every split at its own penalties."""
    if not any(penalties):
        return [[] for _ in parts]
    with progress.tally() as tally:
        calls = (
            joblib.delayed(_fit_scikit)(rows, part, own, config, tally, keep_models)
            for part, own in zip(parts, penalties, strict=True)
        )
        return list(run_in_workers(calls, threads))


def _fit_scikit(
    rows: Rows,
    part: Part,
    penalties: Sequence[float],
    config: SolverConfig,
    tally: Tally,
    keep_models: bool,
) -> list[Outcome]:
    if not penalties:
        return []
    with threadpool_limits(1):
        training, others = part
        fitted, predicted, scaler = standardise(rows.features, training, others)
        path = fit_path(
            fitted,
            rows.labels[training],
            predicted,
            penalties,
            kind=rows.kind,
            classes=rows.classes,
            solver="auto" if config.solver == "batched" else config.solver,
            max_iterations=config.max_iterations,
        )
        outcomes = []
        for fit in path:
            tally.add()
            model = None
            if keep_models:
                model = LinearModel(
                    kind=rows.kind,
                    mean=scaler.mean_,
                    scale=scaler.scale_,
                    weights=fit.weights,
                    intercepts=fit.intercepts,
                )
            outcomes.append(
                Outcome(
                    outputs=fit.outputs,
                    converged=fit.converged,
                    iterations=fit.iterations,
                    gap=None,
                    model=model,
                )
            )
        return outcomes
