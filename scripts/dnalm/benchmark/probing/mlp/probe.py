"""MLP probe: a multilayer perceptron on fixed features, selected on validation rows."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dnalm.benchmark.probing.choice import (
    best_of,
    check_features,
    choice_facts,
    metric_of,
    score_test_rows,
)
from dnalm.benchmark.probing.mlp.fitted import take_models
from dnalm.benchmark.probing.mlp.networks import Networks
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search import (
    Trial,
    make_networks,
    predict_seconds,
    search,
    train_epoch,
)
from dnalm.benchmark.probing.mlp.search_space import Hyperparameters, MlpConfig
from dnalm.benchmark.probing.mlp.studies import STARTUP_TRIALS, count_trials
from dnalm.benchmark.scoring.results import Result
from dnalm.benchmark.tasks.splits import Splits
from dnalm.devices import compute_in, find_device, find_precision
from dnalm.jobs.partial import Partial
from dnalm.jobs.progress import Progress, progress

BORDER_FACTOR = 1.05  # within this factor of an end of its range a choice lies on the border

log = logging.getLogger(__name__)


def mlp_probe(
    features: Mapping[str, np.ndarray],
    table: pd.DataFrame,
    kind: str,
    config: MlpConfig,
    threads: int,
    partial: str | Path | None = None,
) -> Result:
    """Return the MLP probe's test scores; features, network, epoch are selected on validation.

    `features` and `table` are as for `probe`. Every feature set has its own trials; each trial
    trains one network for every split, on features standardised by the split's training rows. The
    trial and epoch with the best mean validation score are kept; their networks, trained again from
    the same start, see the test rows. `not_converged` counts trials whose loss was no number. The
    trials of a finished feature set are kept below the folder `partial`. Raises InputError as
    `probe` does, when no trial has a validation score, and when the device is not there.
    """
    started = time.monotonic()
    splits, metric = Splits(table, kind), metric_of(kind, config.metric)
    check_features(features, len(table))
    device = find_device(config.device, "mlp.device")
    # Never bf16: these networks are trained, and float32 is what their weights are updated in.
    precision = find_precision(config.precision, "mlp.precision", [device], best="tf32")
    config = replace(config, precision=precision)
    torch.set_num_threads(threads)

    facts = choice_facts(features, splits, kind, asdict(config))
    kept = Partial(partial, {**facts, "startup": STARTUP_TRIALS})
    with compute_in(precision, torch.device(device)):
        grid = _search_all(features, splits, kind, metric, config, device, kept)
        remedy = "lower mlp.learning_rate, or choose another mlp.metric"
        best = best_of(grid, metric, "trials", remedy)
        rows = SplitRows(features[best["feature"]], splits, kind, device)
        networks = _train_again(best, rows, config)
        test = rows.positions([splits.test] * len(splits))
        logits = networks.predict(rows.rows(test))[:, 0].cpu()
    outputs = [rows.outputs(own, number, len(splits.test)) for number, own in enumerate(logits)]
    scores, predictions = score_test_rows(table, splits, kind, outputs)
    chosen = ("feature", "layers", "units", "activation", "learning_rate", "epochs")
    return Result(
        selected={name: best[name] for name in chosen},
        edge=_on_edge(best, config),
        grid=grid,
        scores=scores,
        predictions=predictions,
        seconds=time.monotonic() - started,
        not_converged=sum(row["state"] == "diverged" for row in grid),
        fitted=take_models(networks, rows),
        computed={"device": device, "precision": precision},
    )


def _train_again(best: Mapping[str, Any], rows: SplitRows, config: MlpConfig) -> Networks:
    """Return the networks of the chosen trial, trained from the same start to its best epoch."""
    trial = Trial(
        number=best["trial"], hyperparameters=_hyperparameters(best), scores=[], spreads=[]
    )
    networks = make_networks([trial], rows, config)
    epochs = range(1, best["epochs"] + 1)
    for epoch in progress(epochs, "train the chosen one again", "epochs"):
        train_epoch(networks, rows, config, epoch)
    return networks


def _search_all(
    features: Mapping[str, np.ndarray],
    splits: Splits,
    kind: str,
    metric: str,
    config: MlpConfig,
    device: str,
    kept: Partial,
) -> list[dict[str, Any]]:
    """Return the validation grid, a row per feature set and trial; finished sets are kept."""
    found = kept.read()
    left = [name for name in features if name not in found]
    if found:
        log.info("%d of %d feature sets were finished before", len(found), len(features))
    what, trials = f"search {len(left)} feature sets", len(left) * count_trials(config)
    with Progress(what, "trials", trials) as done:
        for number, name in enumerate(left):
            rows = SplitRows(features[name], splits, kind, device)
            if number == 0:
                expected = predict_seconds(rows, config) * len(left) / 60
                log.info(
                    "%d feature sets of %d splits on %s in %s: about %.1f minutes if no trial is "
                    "pruned",
                    *(len(left), len(splits), device, config.precision, expected),
                )
            started = time.monotonic()
            found[name] = [
                _row(trial, metric) for trial in search(rows, config, metric, done.advance)
            ]
            states = [row["state"] for row in found[name]]
            log.info(
                "%s: %d trials in %.1f minutes, %d pruned, %d diverged",
                name,
                len(states),
                (time.monotonic() - started) / 60,
                states.count("pruned"),
                states.count("diverged"),
            )
            kept.write(name, found[name])
    return [{"feature": name, **row} for name in features for row in found[name]]


def _row(trial: Trial, metric: str) -> dict[str, Any]:
    mean, deviation = trial.score
    return {
        "trial": trial.number,
        "layers": len(trial.hyperparameters.units),
        "units": list(trial.hyperparameters.units),
        "activation": trial.hyperparameters.activation,
        "learning_rate": trial.hyperparameters.learning_rate,
        "epochs": trial.best,
        "state": trial.state,
        f"validation_{metric}_mean": mean,
        f"validation_{metric}_sd": deviation,
        "unscored": trial.unscored,
    }


def _hyperparameters(row: Mapping[str, Any]) -> Hyperparameters:
    return Hyperparameters(
        units=tuple(row["units"]),
        activation=row["activation"],
        learning_rate=row["learning_rate"],
    )


def _on_edge(best: Mapping[str, Any], config: MlpConfig) -> bool:
    """Return whether the last epoch, or an end of a range of the search space, was chosen."""

    def border(value: float, span: Sequence[float]) -> bool:
        low, high = span[0], span[-1]
        return low < high and not low * BORDER_FACTOR < value < high / BORDER_FACTOR

    return (
        best["epochs"] == config.epochs
        or border(best["learning_rate"], config.learning_rate)
        or any(border(units, config.units) for units in best["units"])
    )
