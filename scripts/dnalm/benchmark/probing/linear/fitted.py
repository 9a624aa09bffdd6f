"""A fitted linear model: its coefficients as arrays, and its predictions for other features.

Shapes: N rows, D features, C classes, labels or targets, J outputs: one for two classes, else C.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from dnalm.benchmark.tasks.kinds import IDENTITY, SIGMOID, find_kind

ARRAYS = ("mean", "scale", "weights", "intercepts")  # by which names they are kept


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """Logistic or ridge regression of one split.

    `weights` float64 [J, D] and `intercepts` [J] are those of features from which `mean` [D] was
    taken before they were divided by `scale` [D]. An intercept of -inf is that of a class which no
    training row had.
    """

    kind: str
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities float64 [N, C] of features [N, D]; of a regression the values."""
        standardised = (features.astype(np.float64) - self.mean) / self.scale
        return activate_margins(standardised @ self.weights.T + self.intercepts, self.kind)

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays by their names."""
        return {name: np.ascontiguousarray(getattr(self, name), np.float64) for name in ARRAYS}

    @classmethod
    def load(
        cls, state: Mapping[str, np.ndarray], kind: str, selected: Mapping[str, Any]
    ) -> "LinearModel":
        """Return the model whose `state` was kept; `selected` is what its probe chose."""
        return cls(kind=kind, **{name: state[name] for name in ARRAYS})


def activate_margins(margins: np.ndarray, kind: str) -> np.ndarray:
    """Return the predictions [..., C] of margins [..., J]: probabilities, or values as they are."""
    activation = find_kind(kind).activation
    if activation == IDENTITY:
        return margins
    if activation == SIGMOID:
        return expit(margins)
    if margins.shape[-1] > 1:
        return softmax(margins, axis=-1)
    return np.concatenate([expit(-margins), expit(margins)], axis=-1)


def spread_classes(
    weights: np.ndarray, intercepts: np.ndarray, present: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients [J, D] and [J] of all `classes`, given those of the `present` ones.

    A single row of coefficients is that of the second of two classes. A class that is not present
    has probability 0.
    """
    if len(weights) == 1 and len(present) == 2:
        if classes == 2:
            return weights, intercepts
        weights = np.concatenate([np.zeros_like(weights), weights])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    all_weights = np.zeros((classes, weights.shape[1]))
    all_intercepts = np.full(classes, -np.inf)
    all_weights[present], all_intercepts[present] = weights, intercepts
    if classes == 2:
        return all_weights[1:] - all_weights[:1], all_intercepts[1:] - all_intercepts[:1]
    return all_weights, all_intercepts
