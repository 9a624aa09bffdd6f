"""The search for a network's hyper-parameters on the validation rows of all splits."""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dnalm.benchmark.probing.choice import mean_and_sd
from dnalm.benchmark.probing.mlp.networks import Networks
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search_space import Design, MlpConfig, list_points, suggest
from dnalm.benchmark.scoring.metrics import single_score
from dnalm.benchmark.tasks.kinds import find_kind

STARTUP = 10  # trials before a trial may be pruned or a sampler learns from the others
NUMBERS = 1 << 28  # weights that are trained at once; more trials than that take turns
TIMED = 3  # steps that the prediction of the time is made from


@dataclass(kw_only=True)
class Trial:
    """One design and its mean validation score after each epoch; `spreads` are their SDs.

    `unscored` counts the splits whose validation rows define no score.
    """

    number: int
    design: Design
    scores: list[float]
    spreads: list[float]
    state: str = "complete"  # or pruned, or diverged
    unscored: int = 0

    @property
    def best(self) -> int:
        """The epoch with the best score, counted from 1; 0 where none has one, or it diverged."""
        if self.state == "diverged" or np.isnan(self.scores).all():
            return 0
        return 1 + int(np.nanargmax(self.scores))

    @property
    def score(self) -> tuple[float, float]:
        """The best mean validation score and its SD over the splits; nan where there is none."""
        if not self.best:
            return float("nan"), float("nan")
        return self.scores[self.best - 1], self.spreads[self.best - 1]


def search(rows: SplitRows, config: MlpConfig, metric: str) -> list[Trial]:
    """Return the trials of one feature set, by TPE (seeded) or all points of the grid.

    `config.together` trials are drawn at once and those of similar width trained at once. After
    `prune_after` epochs a trial whose best score so far is below the median that earlier trials
    had by then is given up.
    """
    import optuna  # here alone: no other method needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(
            seed=config.seed, n_startup_trials=STARTUP, constant_liar=True
        ),
        pruner=optuna.pruners.NopPruner()
        if config.prune_after is None
        else optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP, n_warmup_steps=config.prune_after
        ),
    )
    trials = config.trials
    if config.sampler == "grid":
        points = list_points(config)
        for point in points:
            study.enqueue_trial(point)
        trials = len(points)
    finished: list[Trial] = []
    states = optuna.trial.TrialState
    while len(finished) < trials:
        asked = [study.ask() for _ in range(min(config.together, trials - len(finished)))]
        drawn = [
            Trial(number=one.number, design=suggest(one, config), scores=[], spreads=[])
            for one in asked
        ]
        reports = {one.number: one for one in asked}
        for group in _groups(drawn, rows):
            _train(group, rows, config, metric, reports)
        for one, trial in zip(asked, drawn, strict=True):
            value, _ = trial.score
            if trial.state == "pruned":
                study.tell(one, state=states.PRUNED)
            elif np.isnan(value):  # diverged, or nothing that could be scored
                study.tell(one, state=states.FAIL)
            else:
                study.tell(one, value)
        finished += drawn
    return finished


def _groups(trials: Sequence[Trial], rows: SplitRows) -> Iterator[list[Trial]]:
    """Yield trials that are trained at once: widths within a factor of 2, equally deep."""

    def size(trial: Trial) -> tuple[int, int]:
        return len(trial.design.units), (max(trial.design.units) - 1).bit_length()

    for (_, bits), same in itertools.groupby(sorted(trials, key=size), key=size):
        members = list(same)
        weights = len(rows.splits) * 2**bits * max(rows.values.shape[1], 2**bits)
        most = max(1, NUMBERS // weights)
        yield from (members[at : at + most] for at in range(0, len(members), most))


def make_networks(trials: Sequence[Trial], rows: SplitRows, config: MlpConfig) -> Networks:
    """Return the trials' networks before their first step; they depend on seed and number alone."""
    seeds = [int(np.random.default_rng([config.seed, t.number]).integers(2**62)) for t in trials]
    designs = [trial.design for trial in trials]
    width = rows.values.shape[1]
    return Networks(designs, seeds, len(rows.splits), width, rows.classes, rows.device)


def train_epoch(networks: Networks, rows: SplitRows, config: MlpConfig, epoch: int) -> None:
    """Take every training row of every split once; the order depends on seed and epoch alone."""
    random = np.random.default_rng([config.seed, epoch])
    for values, labels, counted in rows.batches(config.batch_size, random):
        networks.step(values, labels, counted, rows.kind)


def _train(
    trials: list[Trial], rows: SplitRows, config: MlpConfig, metric: str, reports: dict[int, Any]
) -> None:
    networks = make_networks(trials, rows, config)
    validation = [split.validation for split in rows.splits]
    places = rows.places(validation)
    for epoch in range(1, config.epochs + 1):
        train_epoch(networks, rows, config, epoch)
        logits = networks.predict(rows.rows(places))
        kept = []
        for position, trial in enumerate(trials):
            own = logits[:, position]
            if not torch.isfinite(own).all():
                trial.state = "diverged"
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
                trial.state = "pruned"
                continue
            kept.append(position)
        if len(kept) < len(trials):
            trials = [trials[position] for position in kept]
            networks.take(kept)
        if not trials:
            return


def _score(
    rows: SplitRows, logits: torch.Tensor, split: int, places: np.ndarray, metric: str
) -> float:
    outputs = rows.outputs(logits, split, len(places))
    decided = find_kind(rows.kind).decide(outputs)
    return single_score(metric, rows.truth[places], decided, outputs, rows.kind)


def predict_seconds(rows: SplitRows, config: MlpConfig) -> float:
    """Return how long the trials of one feature set would take without pruning, measured in steps.

    By as many networks in the middle of the ranges as are trained at once; validation comes on top.
    """
    middle = round((config.units[0] * config.units[-1]) ** 0.5)
    design = Design(
        units=(middle,) * max(config.layers),
        activation=config.activations[0],
        learning_rate=config.learning_rate[0],
    )
    count = len(list_points(config)) if config.sampler == "grid" else config.trials
    drawn = [
        Trial(number=number, design=design, scores=[], spreads=[])
        for number in range(min(config.together, count))
    ]
    trials = next(_groups(drawn, rows))
    networks = make_networks(trials, rows, config)
    random = np.random.default_rng(0)
    batches = list(itertools.islice(rows.batches(config.batch_size, random), TIMED))
    for step in range(1 + TIMED):
        if step == 1:  # the first also loads libraries and kernels
            started = _now(rows)
        networks.step(*batches[step % len(batches)], rows.kind)
    an_epoch = (_now(rows) - started) / TIMED * rows.steps(config.batch_size)
    return an_epoch * config.epochs * count / len(trials)


def _now(rows: SplitRows) -> float:
    """Return the time in seconds at which all that was begun is done."""
    if rows.values.is_cuda:
        torch.cuda.synchronize()
    return time.monotonic()
