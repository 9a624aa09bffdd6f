"""Rates of probes on this machine, in FLOP per processor second.

Shape letters: N rows, D features.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.probing.linear.solver import Rows, SolverConfig, solve
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search import Trial, make_networks
from dnalm.benchmark.probing.mlp.search_space import Hyperparameters, MlpConfig
from dnalm.benchmark.tasks.splits import Splits
from dnalm.report.estimates.clock import measure_rate
from dnalm.report.estimates.flops import count_fits, grid_flops

KIND, CLASSES = "binary", 2
ROWS, FEWER_ROWS = 3000, 1000  # as many as are invented; fewer for scikit-learn's solvers
SIGNAL = 0.3  # of the first features: classes that overlap, as those of embeddings do


def measure_probe(
    width: int, classes: int, probe: dict[str, Any], splits: int, batched: bool, seconds: float
) -> float:
    """Return the rate of the regressions of one feature set [N, D]."""
    count = ROWS if batched else FEWER_ROWS
    features, labels = _invent(count, width, classes)
    rows = Rows(features=features, labels=labels, kind=KIND, classes=classes)
    parts = _split(count, splits)
    penalties = sorted(set(probe["penalties"]))
    # The solver that the whole rows get, on fewer.
    options = SolverConfig(
        solver="batched" if batched else probe["solver"].replace("batched", "auto"),
        max_iterations=probe["max_iterations"],
        device="cpu",
    )
    fits = count_fits(splits, penalties, classes)

    def run() -> float:
        solve(rows, parts, penalties, options, 1)
        return grid_flops(count, width, fits, batched=batched)

    return measure_rate(run, seconds)


def measure_perceptrons(width: int, config: MlpConfig, splits: int, seconds: float) -> float:
    """Return the rate of training steps of as many perceptrons as are trained at once."""
    count = max(splits, 2) * 2 + 2 * config.batch_size
    features, labels = _invent(count, width, CLASSES)
    folds = [[number % splits] for number in range(count)]
    table = pd.DataFrame({"label": labels, "split": "train", "folds": folds})
    table.loc[table.index[:2], "split"] = "test"
    rows = SplitRows(features, Splits(table, KIND), KIND, "cpu")
    # In the middle of the range, as the mean over trials would take hundreds of them.
    units = round((config.units[0] * config.units[-1]) ** 0.5)
    drawn = Hyperparameters(
        units=(units,) * max(config.layers),
        activation=config.activations[0],
        learning_rate=config.learning_rate[0],
    )
    trials = [
        Trial(number=number, hyperparameters=drawn, scores=[], spreads=[])
        for number in range(config.together)
    ]
    networks = make_networks(trials, rows, config)
    random = np.random.default_rng(0)
    batches = list(rows.batches(config.batch_size, random))
    weights = sum(array[0, 0].numel() for array in networks.weights)

    def run() -> float:
        for values, given, counted in batches:
            networks.step(values, given, counted, KIND)
        return 6.0 * weights * len(trials) * sum(map(len, (s.training for s in rows.splits)))

    return measure_rate(run, seconds)


def _invent(rows: int, width: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    # A spectrum that falls, as that of embeddings does: it decides how many steps a fit takes.
    scales = (1 + np.arange(width)) ** -0.5
    mixed = random.standard_normal((rows, width)) * scales
    mixed[:, 0] += SIGNAL * labels
    features = mixed @ random.standard_normal((width, width)) / width**0.5
    return features.astype(np.float32), labels.astype(np.int64)


def _split(rows: int, splits: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    fold = np.arange(rows) // 2 % splits  # // 2: each fold has both classes
    return [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in range(splits)]
