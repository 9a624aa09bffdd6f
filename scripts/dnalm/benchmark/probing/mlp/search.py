"""Hyperparameter search on the validation rows of all splits, by TPE or over a grid.

Shapes: S splits, T trials, R rows, C classes, labels or targets.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dnalm.benchmark.probing.choice import mean_and_sd
from dnalm.benchmark.probing.mlp.networks import Networks
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search_space import (
    Hyperparameters,
    MlpConfig,
    suggest,
)
from dnalm.benchmark.probing.mlp.studies import (
    COMPLETE,
    DIVERGED,
    PRUNED,
    Pending,
    count_trials,
    open_study,
)
from dnalm.benchmark.scoring.metrics import single_score
from dnalm.benchmark.tasks.kinds import find_kind

MAX_WEIGHTS = 1 << 28  # trained at once, 1 GiB in float32; more trials than that take turns
TIMED_STEPS = 3  # that the prediction of the time is made from


@dataclass(kw_only=True)
class Trial:
    """A trial: hyperparameters and the mean validation score and SD (`spreads`) of each epoch.

    `unscored` counts the splits whose validation rows define no score.
    """

    number: int
    hyperparameters: Hyperparameters
    scores: list[float]
    spreads: list[float]
    state: str = COMPLETE  # or PRUNED, or DIVERGED
    unscored: int = 0

    @property
    def best(self) -> int:
        """The epoch with the best score, counted from 1; 0 where none has one, or it diverged."""
        if self.state == DIVERGED or np.isnan(self.scores).all():
            return 0
        return 1 + int(np.nanargmax(self.scores))

    @property
    def score(self) -> tuple[float, float]:
        """The best mean validation score and its SD over the splits; nan where there is none."""
        if not self.best:
            return float("nan"), float("nan")
        return self.scores[self.best - 1], self.spreads[self.best - 1]


def search(
    rows: SplitRows,
    config: MlpConfig,
    metric: str,
    tick: Callable[[int], object] = lambda trials: None,
) -> list[Trial]:
    """Return the trials of one feature set, sampled by TPE (seeded) or all points of the grid.

    `config.together` trials are drawn at once and those of similar width trained at once. After
    `prune_after` epochs a trial whose best score so far is below the median that earlier trials
    had by then is pruned. `tick` is told how many trials have ended.
    """
    study, trials = open_study(config), count_trials(config)
    finished: list[Trial] = []
    while len(finished) < trials:
        pending = [study.ask() for _ in range(min(config.together, trials - len(finished)))]
        drawn = [
            Trial(number=one.number, hyperparameters=suggest(one, config), scores=[], spreads=[])
            for one in pending
        ]
        reports = {one.number: one for one in pending}
        for group in _groups(drawn, rows):
            _train(group, rows, config, metric, reports)
        for one, trial in zip(pending, drawn, strict=True):
            value, _ = trial.score
            state = trial.state
            if state == COMPLETE and np.isnan(value):  # nothing that could be scored
                state = DIVERGED
            study.tell(one, value if state == COMPLETE else None, state)
        finished += drawn
        tick(len(drawn))
    return finished


def _groups(trials: Sequence[Trial], rows: SplitRows) -> Iterator[list[Trial]]:
    """Yield groups of trials to train at once: equally deep, widths within a factor of 2."""

    def size(trial: Trial) -> tuple[int, int]:
        return len(trial.hyperparameters.units), (max(trial.hyperparameters.units) - 1).bit_length()

    for (_, bits), same in itertools.groupby(sorted(trials, key=size), key=size):
        members = list(same)
        weights = len(rows.splits) * 2**bits * max(rows.values.shape[1], 2**bits)
        most = max(1, MAX_WEIGHTS // weights)
        yield from (members[at : at + most] for at in range(0, len(members), most))


def make_networks(trials: Sequence[Trial], rows: SplitRows, config: MlpConfig) -> Networks:
    """Return the trials' networks before their first step, by the seed and their numbers alone."""
    seeds = [int(np.random.default_rng([config.seed, t.number]).integers(2**62)) for t in trials]
    settings = [trial.hyperparameters for trial in trials]
    width = rows.values.shape[1]
    return Networks(settings, seeds, len(rows.splits), width, rows.classes, rows.device)


def train_epoch(networks: Networks, rows: SplitRows, config: MlpConfig, epoch: int) -> None:
    """Train on every row of every split once; the order depends on seed and epoch alone."""
    random = np.random.default_rng([config.seed, epoch])
    for values, labels, counted in rows.batches(config.batch_size, random):
        networks.step(values, labels, counted, rows.kind)


def _train(
    trials: list[Trial],
    rows: SplitRows,
    config: MlpConfig,
    metric: str,
    reports: dict[int, Pending],
) -> None:
    networks = make_networks(trials, rows, config)
    validation = [split.validation for split in rows.splits]
    positions = rows.positions(validation)
    for epoch in range(1, config.epochs + 1):
        train_epoch(networks, rows, config, epoch)
        # Together: the host waits for a GPU once in an epoch.
        logits = networks.predict(rows.rows(positions)).cpu()
        kept = []
        for position, trial in enumerate(trials):
            own = logits[:, position]
            if not torch.isfinite(own).all():
                trial.state = DIVERGED
                continue
            scores = [
                _score(rows, own[i], i, validation[i], metric) for i in range(len(validation))
            ]
            mean, deviation = mean_and_sd(scores)
            trial.scores.append(mean)
            trial.spreads.append(deviation)
            trial.unscored = sum(map(math.isnan, scores))
            report = reports[trial.number]
            report.report(trial.scores[-1], epoch)
            if epoch < config.epochs and report.should_prune():
                trial.state = PRUNED
                continue
            kept.append(position)
        if len(kept) < len(trials):
            trials = [trials[position] for position in kept]
            networks.take(kept)
        if not trials:
            return


def _score(
    rows: SplitRows, logits: torch.Tensor, split: int, positions: np.ndarray, metric: str
) -> float:
    outputs = rows.outputs(logits, split, len(positions))
    decided = find_kind(rows.kind).decide(outputs)
    return single_score(metric, rows.truth[positions], decided, outputs, rows.kind)


def predict_seconds(rows: SplitRows, config: MlpConfig) -> float:
    """Return the predicted seconds of one feature set's trials without pruning, from timed steps.

    Of as many networks in the middle of the ranges as are trained at once; validation comes on top.
    """
    middle = round((config.units[0] * config.units[-1]) ** 0.5)
    hyperparameters = Hyperparameters(
        units=(middle,) * max(config.layers),
        activation=config.activations[0],
        learning_rate=config.learning_rate[0],
    )
    count = count_trials(config)
    drawn = [
        Trial(number=number, hyperparameters=hyperparameters, scores=[], spreads=[])
        for number in range(min(config.together, count))
    ]
    trials = next(_groups(drawn, rows))
    networks = make_networks(trials, rows, config)
    random = np.random.default_rng(0)
    batches = list(itertools.islice(rows.batches(config.batch_size, random), TIMED_STEPS))
    for step in range(1 + TIMED_STEPS):
        if step == 1:  # the first also loads libraries and kernels
            started = _now(rows)
        networks.step(*batches[step % len(batches)], rows.kind)
    an_epoch = (_now(rows) - started) / TIMED_STEPS * rows.steps(config.batch_size)
    return an_epoch * config.epochs * count / len(trials)


def _now(rows: SplitRows) -> float:
    """Return the time in seconds once the device has finished what was queued."""
    if rows.values.is_cuda:
        torch.cuda.synchronize()
    return time.monotonic()
