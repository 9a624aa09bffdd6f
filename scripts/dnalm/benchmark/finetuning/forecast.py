"""How long a fine-tuning will take, measured on its first steps."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnalm.benchmark.finetuning.fold_run import FoldRun
from dnalm.benchmark.finetuning.learner import Learner
from dnalm.jobs.progress import duration

TRIAL_SECONDS, TRIAL_STEPS = 2.0, 10  # of the steps that are measured, whichever comes first
UNTIMED = 1  # step before them
SAMPLE = 16  # validation rows of each fold
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of folds side by side: of a step, and of the outputs for a token."""

    folds: int
    step: float
    token: float


def measure_speed(learner: Learner, folds: Sequence[int]) -> Speed:
    """Return the speed of folds, at their first steps; `begin` has to follow."""
    learner.begin(folds, {})
    runs = [FoldRun(learner.data, fold) for fold in folds]
    steps = min(TRIAL_STEPS, runs[0].config.steps)
    for _ in range(UNTIMED):
        _make_step(learner, runs)
    begun, made = time.monotonic(), 0
    while made < steps and learner.agree(time.monotonic() - begun) < TRIAL_SECONDS:
        _make_step(learner, runs)
        made += 1
    step = (time.monotonic() - begun) / made
    data = learner.data
    sample = [own[:: max(1, len(own) // SAMPLE)] for own in (run.validation for run in runs)]
    begun = time.monotonic()
    learner.validate(sample)
    tokens = sum(int(data.rows.lengths[own].sum()) for own in sample)
    return Speed(folds=len(folds), step=step, token=(time.monotonic() - begun) / tokens)


def _make_step(learner: Learner, runs: Sequence[FoldRun]) -> None:
    batches = [run.deal() for run in runs]
    learner.update(batches, runs[0].step, runs[0].rate).tolist()  # which waits for its end


def predict_seconds(
    learner: Learner, speed: Speed, done: Mapping[int, int], processes: int
) -> float:
    """Return the seconds of all that is left of folds, {fold: steps that were made}.

    Validation and test are counted by their tokens. `processes` train one fold each at a time.
    """
    data, config = learner.data, learner.data.finetuning.config
    lengths, total = data.rows.lengths, 0.0
    for fold, made in done.items():
        evaluations = -(-config.steps // config.evaluate_every) - made // config.evaluate_every
        tokens = evaluations * int(lengths[data.fold(fold).split.validation].sum())
        tokens += int(lengths[data.test_rows(fold)].sum())
        total += (config.steps - made) * speed.step / speed.folds + tokens * speed.token
    rounds = -(-len(done) // processes)
    return total * rounds / max(1, len(done))


def describe(speed: Speed, done: Mapping[int, int], steps: int, seconds: float) -> str:
    """Return the prediction in words."""
    left = int(np.mean([steps - made for made in done.values()]))
    beside = f" of {speed.folds} folds" if speed.folds > 1 else ""
    return (
        f"{left:,} steps x {len(done)} folds: about {duration(seconds)}, validation included "
        f"({duration(speed.step)} a step{beside})"
    )
