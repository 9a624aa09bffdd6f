"""Search space of the MLP probe: hyperparameters drawn by a sampler, or all points of a grid."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """The section `mlp` of the config: search space, sampler and training of a trial.

    `layers` and `activations` are choices; `units` and `learning_rate` ranges from their first to
    their last value. `precision` is auto, float32 or tf32 (`dnalm.devices.find_precision`).
    """

    layers: Sequence[int]
    units: Sequence[int]
    activations: Sequence[str]
    learning_rate: Sequence[float]
    sampler: str
    points: int
    trials: int
    together: int
    epochs: int
    batch_size: int
    prune_after: int | None
    metric: str | None
    device: str
    precision: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters of one trial: units of each hidden layer, activation, learning rate."""

    units: tuple[int, ...]
    activation: str
    learning_rate: float


def suggest(trial: Any, config: MlpConfig) -> Hyperparameters:
    """Return the hyperparameters that an Optuna trial suggests.

    The space is conditional: the second layer's units are suggested only where there is one.
    """
    layers = trial.suggest_categorical("layers", list(config.layers))
    low, high = config.units[0], config.units[-1]
    units = [trial.suggest_int(f"units_{i}", low, high, log=True) for i in range(1, layers + 1)]
    low, high = config.learning_rate[0], config.learning_rate[-1]
    return Hyperparameters(
        units=tuple(units),
        activation=trial.suggest_categorical("activation", list(config.activations)),
        learning_rate=trial.suggest_float("learning_rate", low, high, log=True),
    )


def list_points(config: MlpConfig) -> list[dict[str, Any]]:
    """Return all points of the grid, as Optuna parameters: `points` of every range, log-spaced.

    Each comes once: a short range of units holds fewer whole numbers than `points`.
    """
    units, rates = (
        np.geomspace(span[0], span[-1], config.points if span[0] < span[-1] else 1)
        for span in (config.units, config.learning_rate)
    )
    units = list(dict.fromkeys(round(value) for value in units))
    low, high = config.learning_rate[0], config.learning_rate[-1]
    rates = [float(min(max(value, low), high)) for value in rates]
    return [
        {"layers": layers, "activation": activation, "learning_rate": rate}
        | {f"units_{i}": width for i, width in enumerate(widths, start=1)}
        for layers, activation, rate in itertools.product(config.layers, config.activations, rates)
        for widths in itertools.product(units, repeat=layers)
    ]
