"""The grid of MLP probes of one layer: all trials and splits in batched products.

Against one `torch.nn.Sequential` after the other on the same device, of which only a few are run;
the time of all follows from that of these, and the row says so. A network of ours has to end where
the same one ends alone: same start, batches and steps of Adam.

Shapes: N rows, D features, S splits.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from dnalm.benchmark.probing.mlp.networks import Networks
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search import Trial, make_networks, search, train_epoch
from dnalm.benchmark.probing.mlp.search_space import Hyperparameters, MlpConfig, list_points
from dnalm.benchmark.tasks.splits import Splits
from on_gpu.jobs import NO_MODEL
from on_gpu.machine import Machine, say
from on_gpu.models import read_config
from on_gpu.results import Row

ROWS, FEATURES, SPLITS = 12_000, 1_280, 10
TINY_ROWS, TINY_FEATURES, TINY_SPLITS = 120, 8, 2
TEST_ROWS = 0.1  # of all
EPOCHS = 3  # of the many that a search trains; all take the same time
COMPARED = (64, 256)  # hidden units of the networks that are run alone, one and two layers
TINY_COMPARED = (4,)
KIND, METRIC = "binary", "mcc"
# Of the logits, relative to their size, after an epoch in float32: Adam divides by gradients that
# may be next to nothing.
TOLERANCE = 1e-2


def measure(machine: Machine, _: str) -> Iterator[Row]:
    """Yield a row of ours and one of the peer's."""
    config = _configure(machine)
    values, table = _plant(machine)
    splits = Splits(table, KIND)
    rows = SplitRows(values, splits, KIND, machine.device.type)
    points = list_points(config)
    epochs = config.epochs
    networks = len(points) * len(splits)
    search(rows, replace(config, layers=[1], points=1, epochs=1), METRIC)  # warms up
    say(f"MLP probes: {len(points)} trials of {len(splits)} splits, {epochs} epochs")
    machine.reset_peak()
    machine.wait()
    begun = time.perf_counter()
    trials = search(rows, config, METRIC)
    machine.wait()
    ours = (time.perf_counter() - begun) / epochs
    best = max(score for trial in trials for score in trial.scores)
    yield Row(
        part="probing",
        model=NO_MODEL,
        side="ours, the whole grid of a layer",
        value=networks / ours,
        unit="networks × epochs/s",
        gigabytes=machine.peak_gigabytes(),
        note=f"scoring of validation rows included; best {METRIC} {best:.2f}",
        facts={"seconds_per_epoch": ours, "trials": len(points), "splits": len(splits)},
    )
    alone, distance = _run_alone(machine, rows, config)
    # As often as trials are as deep and about as wide: the peer's time is that of launches.
    theirs = alone * networks
    yield Row(
        part="probing",
        model=NO_MODEL,
        side="torch.nn.Sequential, one after the other",
        value=1 / alone,
        unit="networks × epochs/s",
        ratio=theirs / ours,
        agrees=distance <= TOLERANCE,
        check=f"logits after an epoch to {distance:.1e}",
        note="extrapolated from a few networks, without scoring",
        facts={"seconds_of_a_network_epoch": alone},
    )


def _configure(machine: Machine) -> MlpConfig:
    config = MlpConfig(**read_config()["mlp"])
    changes: dict[str, Any] = {
        "sampler": "grid",
        "prune_after": None,
        "epochs": EPOCHS,
        "device": machine.device.type,
    }
    if machine.tiny:
        changes |= {"points": 2, "units": [4, 8], "epochs": 1, "batch_size": 20}
    return replace(config, **changes)


def _plant(machine: Machine) -> tuple[np.ndarray, pd.DataFrame]:
    """Return features float32 [N, D] with a class that two of them decide, and the task's table."""
    rows, features, splits = (
        (TINY_ROWS, TINY_FEATURES, TINY_SPLITS) if machine.tiny else (ROWS, FEATURES, SPLITS)
    )
    values = np.random.default_rng(1).normal(size=(rows, features)).astype(np.float32)
    labels = ((values[:, 0] > 0) == (values[:, 1] > 0)).astype(int)
    training = int(rows * (1 - TEST_ROWS))
    table = pd.DataFrame(
        {
            "id": [f"row.{row}" for row in range(rows)],
            "label": list(labels),
            "split": np.where(np.arange(rows) < training, "train", "test"),
            "folds": [[row % splits] if row < training else [] for row in range(rows)],
        }
    )
    return values, table


def _run_alone(machine: Machine, rows: SplitRows, config: MlpConfig) -> tuple[float, float]:
    """Return the mean seconds of a network's epoch alone, and how far its logits are from ours."""
    seconds, distances = [], []
    for units in TINY_COMPARED if machine.tiny else COMPARED:
        for depth in config.layers:
            settings = Hyperparameters(units=(units,) * depth, activation="relu",
                                       learning_rate=1e-3)  # fmt: skip
            trial = Trial(number=0, hyperparameters=settings, scores=[], spreads=[])
            networks = make_networks([trial], rows, config)
            alone = [_as_modules(networks, split) for split in range(len(rows.splits))]
            _train_alone(alone, rows, config, epoch=2)  # warms up
            alone = [_as_modules(networks, split) for split in range(len(rows.splits))]
            machine.wait()
            begun = time.perf_counter()
            _train_alone(alone, rows, config, epoch=1)
            machine.wait()
            seconds.append((time.perf_counter() - begun) / len(alone))
            train_epoch(networks, rows, config, 1)
            distances.append(_compare(networks, alone, rows))
    return float(np.mean(seconds)), max(distances)


def _as_modules(networks: Networks, split: int) -> nn.Sequential:
    """Return one of the networks as it starts, made of PyTorch's own layers."""
    layers: list[nn.Module] = []
    for weights, biases in zip(networks.weights, networks.biases, strict=True):
        linear = nn.Linear(weights.shape[3], weights.shape[2], device=weights.device)
        with torch.no_grad():
            linear.weight.copy_(weights[split, 0])
            linear.bias.copy_(biases[split, 0, :, 0])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _train_alone(
    alone: Sequence[nn.Sequential], rows: SplitRows, config: MlpConfig, epoch: int
) -> None:
    """Train each network for the epoch that ours are trained for, on the same batches."""
    random = np.random.default_rng([config.seed, epoch])
    batches = list(rows.batches(config.batch_size, random))
    counts = [counted.sum(1).long().tolist() for _, _, counted in batches]
    for split, network in enumerate(alone):
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        for (values, labels, _), count in zip(batches, counts, strict=True):
            own = count[split]
            adam.zero_grad()
            loss = nn.functional.cross_entropy(network(values[split, :own]), labels[split, :own])
            loss.backward()
            adam.step()


def _compare(networks: Networks, alone: Sequence[nn.Sequential], rows: SplitRows) -> float:
    positions = rows.positions([split.validation for split in rows.splits])
    values = rows.rows(positions)
    ours = networks.predict(values)[:, 0]
    with torch.no_grad():
        theirs = torch.stack([network(values[split]) for split, network in enumerate(alone)])
    return float((ours - theirs).norm() / theirs.norm())
