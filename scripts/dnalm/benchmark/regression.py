"""Logistic regressions on standardised features, one per penalty."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

# Largest gradient component at which a fit ends. scikit-learn's own 1e-4 leaves strongly fitted
# models (large C) so far from the optimum that test predictions depend on the starting point.
TOLERANCE = 1e-8
# Up to so many coefficients newton-cholesky is the faster one (10 times at 128 features); its steps
# cost the cube of their number, and lbfgs takes thousands of steps where penalties are weak.
MOST_FOR_NEWTON = 512


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A model fitted on one split's training rows, and its view of other rows."""

    classifier: LogisticRegression
    converged: bool

    @property
    def iterations(self) -> int:
        """How many steps the solver took."""
        return int(np.max(self.classifier.n_iter_))

    def probabilities(self, features: np.ndarray, classes: int) -> np.ndarray:
        """Return the probability of each class float64 [rows, classes]."""
        # A training part may lack a rare class; its column then stays 0.
        probabilities = np.zeros((len(features), classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(features)
        return probabilities


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
    penalties: Iterable[float],
    *,
    solver: str,
    max_iterations: int,
) -> Iterator[Fit]:
    """Yield a fit per penalty; each starts at the one before, which saves two iterations of three.

    The problem is strictly convex, so the start changes the way and not the end, and so does the
    solver: one of scikit-learn's, or `auto` for the faster of newton-cholesky and lbfgs. All fits
    are one object: use each before asking for the next.
    """
    if solver == "auto":
        classes = len(np.unique(labels))
        coefficients = features.shape[1] * (classes if classes > 2 else 1)
        solver = "newton-cholesky" if coefficients <= MOST_FOR_NEWTON else "lbfgs"
    classifier = LogisticRegression(
        solver=solver, max_iter=max_iterations, tol=TOLERANCE, warm_start=True
    )
    for penalty in penalties:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            classifier.set_params(C=penalty).fit(features, labels)
        limited = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        yield Fit(classifier=classifier, converged=not limited)
