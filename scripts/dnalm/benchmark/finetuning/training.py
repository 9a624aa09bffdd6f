"""The training loop: folds side by side, or one by itself, until all of them have ended."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from dnalm.benchmark.finetuning.classifier import NOTHING, Fold
from dnalm.benchmark.finetuning.fold_run import Checkpoint, FoldRun
from dnalm.benchmark.finetuning.learner import Learner
from dnalm.devices import forget_peak, peak_memory

Save = Callable[[Mapping[int, Checkpoint]], None]


class Training:
    """Folds at one step. Iterating trains them and yields each where it ends.

    `tick` is called with a number of steps that are done or need not be made any more. `save` gets
    checkpoints of all folds under way whenever `minutes` have passed (None: never by time), and
    where some end before others, so that the others go on by themselves whatever happens.
    """

    def __init__(
        self,
        learner: Learner,
        folds: Sequence[int],
        checkpoints: Mapping[int, Checkpoint],
        *,
        tick: Callable[[int], object],
        save: Save | None = None,
        minutes: float | None = None,
    ) -> None:
        self._learner, self._tick, self._save, self._minutes = learner, tick, save, minutes
        forget_peak(learner.device)
        learner.begin(folds, {fold: one.state for fold, one in checkpoints.items()})
        self._runs = [FoldRun(learner.data, fold, checkpoints.get(fold)) for fold in folds]
        self._clock = self._saved = time.monotonic()

    def __iter__(self) -> Iterator[Fold]:
        while self._runs:
            if ended := [run for run in self._runs if run.ended]:
                yield from self._end(ended)
            else:
                self._make_step()

    def _make_step(self) -> None:
        runs = self._runs
        batches = [run.deal() for run in runs]
        losses = self._learner.update(batches, runs[0].step, runs[0].rate)
        for run, loss in zip(runs, losses, strict=True):
            run.note(loss)
        self._tick(len(runs))
        if runs[0].due:
            found = self._learner.validate([run.validation for run in runs])
            for place, (run, outputs) in enumerate(zip(runs, found, strict=True)):
                run.evaluate(outputs, partial(self._learner.kept, place))
        if self._save and (self._some_end() or self._time_to_save()):
            self._keep()

    def _some_end(self) -> bool:
        return 0 < sum(run.ended for run in self._runs) < len(self._runs)

    def _time_to_save(self) -> bool:
        if self._minutes is None or all(run.ended for run in self._runs):
            return False
        return self._learner.agree(time.monotonic() - self._saved) >= 60 * self._minutes

    def _keep(self) -> None:
        self._share_time()
        states = self._learner.states()
        self._save(
            {run.fold: run.checkpoint(state) for run, state in zip(self._runs, states, strict=True)}
        )
        self._saved = time.monotonic()

    def _end(self, ended: Sequence[FoldRun]) -> Iterator[Fold]:
        """Yield finished folds; go on with the others."""
        left = [run for run in self._runs if run not in ended]
        states = self._learner.states() if left else []
        own = {run.fold: state for run, state in zip(self._runs, states, strict=False)}
        for run in ended:
            self._tick(run.config.steps - run.step)  # the bar counts steps that need not be made
            kept = run.evaluations
            tested = self._learner.test(run.fold, kept.tensors)
            self._share_time()
            scale = self._learner.data.fold(run.fold).scale
            saved = kept.tensors | (scale.state() if scale else {})
            yield Fold(
                fold=run.fold,
                tensors={} if run.config.save == NOTHING else saved,
                outputs=tested.outputs,
                history=kept.history,
                step=kept.step,
                seconds=round(run.seconds, 3),
                peak_bytes=peak_memory(self._learner.device),
                trained=tested.trained,
                parameters=tested.parameters,
            )
        self._runs = left
        if left:
            self._learner.begin([run.fold for run in left], own)

    def _share_time(self) -> None:
        """Share what has passed since the last time among the folds under way."""
        now = time.monotonic()
        for run in self._runs:
            run.seconds += (now - self._clock) / len(self._runs)
        self._clock = now
