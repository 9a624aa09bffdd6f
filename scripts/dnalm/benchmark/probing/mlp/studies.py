"""Where the trials of a search come from: Optuna's sampler and pruner, or a grid point by point.

TPE is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011); bad trials are pruned by
its median rule. A grid none of whose points is pruned needs no Optuna.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from dnalm.benchmark.probing.mlp.search_space import MlpConfig, list_points

STARTUP_TRIALS = 10  # trials before one may be pruned or the sampler learns from the others
COMPLETE, PRUNED, DIVERGED = "complete", "pruned", "diverged"


class Pending(Protocol):
    """A trial that runs: Optuna's, or a point of a grid."""

    number: int

    def report(self, value: float, step: int) -> None:
        """Note the score of an epoch, counted from 1."""

    def should_prune(self) -> bool:
        """Return whether it is to be given up."""


class Study(Protocol):
    """A source of trials that learns from their scores, or does not."""

    def ask(self) -> Pending:
        """Return the next trial."""

    def tell(self, trial: Pending, score: float | None, state: str) -> None:
        """Note how a trial ended, with its best score where it is complete."""


def open_study(config: MlpConfig) -> Study:
    """Return the study of `config`, seeded."""
    if config.sampler == "grid" and config.prune_after is None:
        return _Grid(iter(list_points(config)))
    return _Optuna(config)


def count_trials(config: MlpConfig) -> int:
    """Return how many trials a study has."""
    return len(list_points(config)) if config.sampler == "grid" else config.trials


class _Optuna:
    """A study of Optuna; the points of a grid are asked for in their order."""

    def __init__(self, config: MlpConfig) -> None:
        import optuna  # here alone: no other method needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        samplers, pruners, ended = optuna.samplers, optuna.pruners, optuna.trial.TrialState
        self._study = optuna.create_study(
            direction="maximize",
            sampler=samplers.TPESampler(
                # The liar counts pending trials as bad: those drawn together do not crowd one
                # place.
                seed=config.seed,
                n_startup_trials=STARTUP_TRIALS,
                constant_liar=True,
            ),
            pruner=pruners.NopPruner()
            if config.prune_after is None
            else pruners.MedianPruner(
                n_startup_trials=STARTUP_TRIALS, n_warmup_steps=config.prune_after
            ),
        )
        self._states = {PRUNED: ended.PRUNED, DIVERGED: ended.FAIL}
        for point in list_points(config) if config.sampler == "grid" else ():
            self._study.enqueue_trial(point)

    def ask(self) -> Pending:
        return self._study.ask()

    def tell(self, trial: Pending, score: float | None, state: str) -> None:
        self._study.tell(trial, score, state=self._states.get(state))


class _Grid:
    """The points of a grid, one after the other."""

    def __init__(self, points: Iterator[Mapping[str, Any]]) -> None:
        self._points = enumerate(points)

    def ask(self) -> Pending:
        return _Point(*next(self._points))

    def tell(self, trial: Pending, score: float | None, state: str) -> None:
        """Learn nothing."""


class _Point:
    """A point of a grid, which answers as a trial of Optuna does."""

    def __init__(self, number: int, values: Mapping[str, Any]) -> None:
        self.number, self._values = number, values

    def suggest_categorical(self, name: str, choices: object) -> Any:
        return self._values[name]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return self._values[name]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return self._values[name]

    def report(self, value: float, step: int) -> None:
        """Nothing is compared."""

    def should_prune(self) -> bool:
        return False
