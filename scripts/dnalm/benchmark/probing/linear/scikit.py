"""Regularization paths by scikit-learn: the reference for the batched solver, and its fallback.

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

from dnalm.benchmark.probing.linear.fitted import spread_classes
from dnalm.benchmark.probing.linear.tolerances import MAX_CERTIFIED_GAP, MAX_GRADIENT
from dnalm.benchmark.tasks.kinds import BINARY_CROSS_ENTROPY, SQUARED_ERROR, find_kind

# Up to so many coefficients newton-cholesky is the faster one (10 times at 128 features); its steps
# cost the cube of their number, and lbfgs takes thousands of steps where penalties are weak.
MAX_COEFFICIENTS_FOR_NEWTON = 512


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The predictions of one model for other rows than it was fitted on, and how its fit ended.

    `outputs` float64 [rows, C] are probabilities, or the values of a regression; `weights` [J, F]
    and `intercepts` [J] the coefficients, those of `LinearModel`, on features as they were given.
    """

    outputs: np.ndarray
    converged: bool
    iterations: int
    weights: np.ndarray
    intercepts: np.ndarray


def standardise(
    features: np.ndarray, training: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, StandardScaler]:
    """Return two sets of rows, float64, standardised by mean and SD of the first, `training`.

    What standardised them comes third.
    """
    # In float64: embeddings come as float32, whose rounding would decide the last iterations.
    fitted = features[training].astype(np.float64)
    scaler = StandardScaler().fit(fitted)
    return scaler.transform(fitted), scaler.transform(features[others].astype(np.float64)), scaler


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
    """Yield the regularization path: for each penalty a fit, with its predictions for `others`.

    Each fit starts at the one before, which saves two iterations of three. The problem is strictly
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
        solver = "newton-cholesky" if outputs <= MAX_COEFFICIENTS_FOR_NEWTON else "lbfgs"
    columns = labels.T if separate else [labels]
    models = [
        LogisticRegression(
            solver=solver, max_iter=max_iterations, tol=MAX_GRADIENT, warm_start=True
        )
        for _ in columns
    ]
    for penalty in penalties:
        fits = [
            _fit(model.set_params(C=penalty), features, column, others, 2 if separate else classes)
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
            weights=np.concatenate([fit.weights for fit in fits]),
            intercepts=np.concatenate([fit.intercepts for fit in fits]),
        )


def _fit(
    model: LogisticRegression,
    features: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    classes: int,
) -> Fit:
    # A training part may lack a rare class; its column then stays 0.
    classes = max(2, classes)
    probabilities = np.zeros((len(others), classes))
    present, counts = np.unique(labels, return_counts=True)
    # Without a feature that varies the optimum is known, and a solver begins and fails there.
    if len(present) == 1 or not features.any():
        probabilities[:, present] = shares = counts / len(labels)
        flat = np.zeros((len(present), features.shape[1]))
        weights, intercepts = spread_classes(flat, np.log(shares), present, classes)
        return Fit(
            outputs=probabilities,
            converged=True,
            iterations=0,
            weights=weights,
            intercepts=intercepts,
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, labels)
    warned = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    probabilities[:, model.classes_] = model.predict_proba(others)
    iterations = int(np.max(model.n_iter_))
    # A line search that starts at the optimum finds nothing lower but for rounding, and warns, too.
    limited = warned and (iterations >= model.max_iter or not is_optimal(model, features, labels))
    weights, intercepts = spread_classes(model.coef_, model.intercept_, model.classes_, classes)
    return Fit(
        outputs=probabilities,
        converged=not limited,
        iterations=iterations,
        weights=weights,
        intercepts=intercepts,
    )


def is_optimal(model: LogisticRegression, features: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether a fit is within `MAX_CERTIFIED_GAP` of its optimum, by strong convexity.

    The gap is a share of the objective. C times the losses plus |weights|² / 2, minimised over its
    intercepts, is strongly convex in the weights with modulus 1: at optimal intercepts it lies at
    most |gradient|² / 2 above the optimum.
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
    flat = np.abs(residuals.sum(axis=0)).max() <= MAX_CERTIFIED_GAP * len(labels)
    near = np.square(gradient).sum() / 2 <= MAX_CERTIFIED_GAP * objective
    return bool(flat and near and np.isfinite(objective))


def _ridge_path(
    features: np.ndarray, labels: np.ndarray, others: np.ndarray, penalties: Iterable[float]
) -> Iterator[Fit]:
    scaler = StandardScaler().fit(labels)
    for penalty in penalties:
        model = Ridge(alpha=1 / penalty).fit(features, scaler.transform(labels))
        values = model.predict(others).reshape(len(others), -1)
        yield Fit(
            outputs=scaler.inverse_transform(values),
            converged=True,
            iterations=0,
            # In the units of the targets, as the outputs are.
            weights=model.coef_.reshape(labels.shape[1], -1) * scaler.scale_[:, None],
            intercepts=model.intercept_ * scaler.scale_ + scaler.mean_,
        )
