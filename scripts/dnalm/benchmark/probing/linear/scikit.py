"""Linear models on standardised features by scikit-learn: what the batched solver is held against.

Logistic regression for classes, one for each label of several, ridge regression for numbers.
Shapes: N rows, F features, C classes (multilabel: labels, regression: targets).
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.probing.linear.tolerances import CERTIFIED, GRADIENT
from dnalm.benchmark.tasks.kinds import BINARY_CROSS_ENTROPY, SQUARED_ERROR, find_kind

# Up to so many coefficients newton-cholesky is the faster one (10 times at 128 features); its steps
# cost the cube of their number, and lbfgs takes thousands of steps where penalties are weak.
MOST_FOR_NEWTON = 512


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a model fitted on one split's training rows says about other rows.

    `outputs` float64 [rows, C] are probabilities, or the values of a regression.
    """

    outputs: np.ndarray
    converged: bool
    iterations: int


def standardise(
    features: np.ndarray, training: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of two sets of rows by the mean and SD of the first, `training`."""
    # In float64: embeddings come as float32, whose rounding would decide the last iterations.
    fitted = features[training].astype(np.float64)
    scaler = StandardScaler().fit(fitted)
    return scaler.transform(fitted), scaler.transform(features[others].astype(np.float64))


def fit_path(
    features: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    penalties: Iterable[float],
    *,
    kind: str,
    classes: int,
    solver: str,
    max_iterations: int,
) -> Iterator[Fit]:
    """Yield, for each penalty, a fit of `features` and `labels`, and what it says about `others`.

    Each starts at the one before, which saves two iterations of three. The problem is strictly
    convex, so the start changes the way and not the end, and so does the solver: one of
    scikit-learn's, or `auto` for the faster of newton-cholesky and lbfgs. A regression has a closed
    form; its targets are standardised, and half the sum of squares stands where the others' loss
    does, so that `penalties` are C there too.
    """
    loss = find_kind(kind).loss
    if loss == SQUARED_ERROR:
        yield from _ridge_path(features, labels, others, penalties)
        return
    separate = loss == BINARY_CROSS_ENTROPY  # a model for each label
    outputs = features.shape[1] * (classes if not separate and classes > 2 else 1)
    if solver == "auto":
        solver = "newton-cholesky" if outputs <= MOST_FOR_NEWTON else "lbfgs"
    columns = labels.T if separate else [labels]
    models = [
        LogisticRegression(solver=solver, max_iter=max_iterations, tol=GRADIENT, warm_start=True)
        for _ in columns
    ]
    for penalty in penalties:
        fits = [
            _fit(model.set_params(C=penalty), features, column, others, classes)
            for model, column in zip(models, columns, strict=True)
        ]
        if separate:
            probabilities = np.stack([fit.outputs[:, 1] for fit in fits], axis=1)
        else:
            probabilities = fits[0].outputs
        yield Fit(
            outputs=probabilities,
            converged=all(fit.converged for fit in fits),
            iterations=max(fit.iterations for fit in fits),
        )


def _fit(
    model: LogisticRegression,
    features: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    classes: int,
) -> Fit:
    # A training part may lack a rare class; its column then stays 0.
    probabilities = np.zeros((len(others), max(2, classes)))
    present, counts = np.unique(labels, return_counts=True)
    # With nothing to tell rows apart by, the optimum is known, and a solver begins and fails there.
    if len(present) == 1 or not features.any():
        probabilities[:, present] = counts / len(labels)
        return Fit(outputs=probabilities, converged=True, iterations=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, labels)
    warned = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    probabilities[:, model.classes_] = model.predict_proba(others)
    iterations = int(np.max(model.n_iter_))
    # A line search that starts at the optimum finds nothing lower but for rounding, and warns, too.
    limited = warned and (iterations >= model.max_iter or not is_optimal(model, features, labels))
    return Fit(outputs=probabilities, converged=not limited, iterations=iterations)


def is_optimal(model: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether a fit lies within `CERTIFIED` of its optimum, a share of the objective.

    Over its intercepts minimised, C times the losses plus |weights|² / 2 is curved by 1 or more in
    its weights, so at optimal intercepts it lies at most |gradient|² / 2 above the optimum.
    """
    probabilities = model.predict_proba(features)
    truth = labels[:, None] == model.classes_
    residuals = probabilities - truth
    if len(model.classes_) == 2:  # with one row of weights
        residuals = residuals[:, 1:]
    gradient = model.C * residuals.T @ features + model.coef_
    with np.errstate(divide="ignore"):
        losses = -np.log(probabilities[truth]).sum()
    objective = model.C * losses + np.square(model.coef_).sum() / 2
    flat = np.abs(residuals.sum(axis=0)).max() <= CERTIFIED * len(labels)
    near = np.square(gradient).sum() / 2 <= CERTIFIED * objective
    return bool(flat and near and np.isfinite(objective))


def _ridge_path(
    features: np.ndarray, labels: np.ndarray, others: np.ndarray, penalties: Iterable[float]
) -> Iterator[Fit]:
    scaler = StandardScaler().fit(labels)
    for penalty in penalties:
        model = Ridge(alpha=1 / penalty).fit(features, scaler.transform(labels))
        values = model.predict(others).reshape(len(others), -1)
        yield Fit(outputs=scaler.inverse_transform(values), converged=True, iterations=0)
