"""Fine-tuning: what a method trains of an encoder, and a linear head, trained on each split.

All else stays frozen. Networks without pretraining are trained by the same loop.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import torch
from safetensors import SafetensorError

from dnalm.benchmark.finetuning.checkpoints import Running, Watched
from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.fold_run import Checkpoint
from dnalm.benchmark.finetuning.forecast import describe, measure_speed, predict_seconds
from dnalm.benchmark.finetuning.learner import Learner, SingleLearner
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning, Operation
from dnalm.benchmark.finetuning.stack import StackedLearner
from dnalm.benchmark.finetuning.task_data import TaskData
from dnalm.benchmark.finetuning.training import Training
from dnalm.devices import best_device
from dnalm.errors import InputError
from dnalm.jobs.partial import Format, Partial, hold
from dnalm.jobs.progress import Progress, Tally
from dnalm.jobs.workers import run_in_workers
from dnalm.methods import find_adapter, warn_of_rate

if TYPE_CHECKING:  # which loads what few jobs need
    from dnalm.parallel.distributed import Group

FOLD = Format(
    suffix=".safetensors",
    write=lambda path, fold: fold.save(path),
    read=Fold.load,
    torn=(OSError, ValueError, TypeError, SafetensorError),
)
OVERLAY = "resources/small_finetuning.yaml"
HOUR = 3600
log = logging.getLogger(__name__)


def finetune(
    finetuning: Finetuning,
    *,
    operation: Operation,
    partial: str | Path,
    threads: int,
    data: type[TaskData] = TaskData,
) -> list[Fold]:
    """Train every fold of a task, or of what `data` reads, and return them, ascending.

    Folds are trained together on one encoder, or each by itself; on a CPU `threads` of these at a
    time, each by one process with one thread. A finished fold, and how far the others are, lie in a
    folder of its own below `partial`, named by what decides the result, and are read from there the
    next time; what cannot be read, as after a power cut, is made again.

    Raises InputError when another job works on this task, and when a CPU is predicted to take
    longer than `operation` allows.
    """
    finetuning = finetuning.on(str(best_device()))
    config = finetuning.config
    if finetuning.network is None and (
        sentence := warn_of_rate("learning_rate", config.adapter, config.learning_rate)
    ):
        log.warning(sentence)
    with hold(partial) as lock:
        facts = finetuning.facts()
        kept, running = Partial(partial, facts, FOLD), Running(partial, facts)
        folds = data.list_folds(finetuning)
        found = {fold: one for fold in folds if (one := kept.find(_name(fold)))}
        if found:
            log.info("%d of %d folds were finished before", len(found), len(folds))
        missing = [fold for fold in folds if fold not in found]
        job = _Job(finetuning, operation, kept, running, data, Path(partial))
        if missing:
            job.train(missing, threads)
        lock.check()
        return [found.get(fold) or kept.load(_name(fold)) for fold in folds]


def train_fold(
    finetuning: Finetuning, fold: int, tick: Callable[[int], object] = lambda steps: None
) -> Fold:
    """Train one fold by itself; choose the step on its validation rows, then score the test rows.

    The result depends on `finetuning` and the fold alone, not on the process or its other folds.
    `tick` is called with the number of steps that were made. Raises InputError for a sequence
    longer than the context and for a loss that is not finite.
    """
    (trained,) = Training(SingleLearner(finetuning), [fold], {}, tick=tick)
    return trained


def train_folds(finetuning: Finetuning, folds: Sequence[int]) -> list[Fold]:
    """Train folds together, as `train_fold` does each; return them in the order of `folds`."""
    learner = StackedLearner(finetuning)
    trained = {one.fold: one for one in Training(learner, folds, {}, tick=lambda steps: None)}
    return [trained[fold] for fold in folds]


def join(task: Mapping[str, Any], group: "Group") -> Iterator[Fold]:
    """Help another process of `group`, its first, which has written `task`; yield what it gets.

    Its checkpoints and folds are kept by the first process, whose tensors they are.
    """
    own = dict(task["finetuning"])
    finetuning = Finetuning(**own | {"config": FinetuneConfig(**own["config"])})
    running = Watched(task["partial"], task["facts"])
    nothing = Partial(None, task["facts"], FOLD)
    operation, scratch = Operation(**task["operation"]), Path(task["partial"])
    learning = _Job(finetuning, operation, nothing, running, TaskData, scratch)
    done = {int(fold): step for fold, step in task["done"].items()}
    yield from learning.take_part(done, group, lambda steps: None)


def _name(fold: int) -> str:
    return f"fold-{fold:02d}"


@dataclass(frozen=True)
class _Job:
    """The folds of one task that are to be trained, and where they are kept. May be sent."""

    finetuning: Finetuning
    operation: Operation
    kept: Partial
    running: Running
    data: type[TaskData]
    scratch: Path | None = None  # where outputs of bases lie before they are kept

    def train(self, folds: Sequence[int], threads: int) -> None:
        """Train folds, from their checkpoints, and keep each that has ended."""
        made = self.running.steps(folds)
        done = {fold: made.get(fold, 0) for fold in folds}
        if made:
            text = ", ".join(f"{fold} after {step:,}" for fold, step in made.items())
            log.info("folds go on after so many steps: %s", text)
        what, total = f"train {len(folds)} folds", len(folds) * self.finetuning.config.steps
        if self._is_sharded():
            self._train_in_shards(folds, done)
            return
        if self._are_together():
            with _threads(threads):
                learner = StackedLearner(self.finetuning, self.operation.micro_batch, self.scratch)
                groups = _group_by_step(done, learner.fit(folds))
                self._forecast(learner, groups[0], done, processes=1)
                self.running.regroup(groups)
                with self._progress(what, total, done) as tally:
                    for group in groups:
                        self._report(
                            map(self._sum_up, self._train_group(learner, group, tally.add))
                        )
            return
        processes = threads if best_device().type == "cpu" else 1
        with _threads(1):
            self._forecast(self._alone(), folds[:1], done, processes)
        self.running.regroup([[fold] for fold in folds])
        with self._progress(what, total, done) as tally:
            calls = (joblib.delayed(self._train_alone)(fold, tally) for fold in folds)
            self._report(run_in_workers(calls, processes, as_they_end=True))

    def _is_sharded(self) -> bool:
        """Whether several GPUs share one encoder of ours: where all of it is trained."""
        frozen = find_adapter(self.finetuning.config.adapter).frozen
        ours = self.finetuning.network is None and self.finetuning.embedder is None
        return self.operation.gpus > 1 and ours and self.data is TaskData and not frozen

    def _train_in_shards(self, folds: Sequence[int], done: Mapping[int, int]) -> None:
        # Here, because it loads what takes seconds and few jobs need.
        from dnalm.benchmark.finetuning.ranks import start_helpers

        self.running.regroup([[fold] for fold in folds])
        task = {
            "finetuning": asdict(self.finetuning),
            "operation": asdict(self.operation),
            "partial": str(self.running.partial),
            "facts": self.running.facts,
            "done": dict(done),
        }
        what, total = f"train {len(folds)} folds", len(folds) * self.finetuning.config.steps
        with (
            start_helpers(task, self.operation.gpus) as group,
            self._progress(what, total, done) as tally,
        ):
            self._report(map(self._sum_up, self.take_part(done, group, tally.add)))

    def take_part(
        self, done: Mapping[int, int], group: "Group", tick: Callable[[int], object]
    ) -> Iterator[Fold]:
        """Train the folds of `done` one after the other, as one process of `group`."""
        from dnalm.benchmark.finetuning.sharded import ShardedLearner

        with _threads(1):
            learner = ShardedLearner(
                self.finetuning, group, self.operation.micro_batch, self.scratch
            )
            self._forecast(learner, list(done)[:1], done, processes=1)
            for fold in done:
                yield from self._train_group(learner, [fold], tick)

    @contextmanager
    def _progress(self, what: str, total: int, done: Mapping[int, int]) -> Iterator[Tally]:
        with (
            Progress(what, "steps", total, done=sum(done.values())) as progress,
            progress.tally() as tally,
        ):
            yield tally

    def _are_together(self) -> bool:
        """Whether folds share an encoder: as the operation says, where it stays as it is."""
        wanted = self.operation.folds_together
        if not self.finetuning.joinable:
            return False
        if self.finetuning.embedder is not None:  # whose layers may see rows in any shape
            return False
        frozen = find_adapter(self.finetuning.config.adapter).frozen
        return frozen and (best_device().type == "cuda" if wanted == "auto" else wanted)

    def _forecast(
        self, learner: Learner, group: Sequence[int], done: Mapping[int, int], processes: int
    ) -> None:
        on_cpu = best_device().type == "cpu"
        speed = measure_speed(learner, group)
        seconds = learner.agree(predict_seconds(learner, speed, done, processes))
        words = describe(speed, done, self.finetuning.config.steps, seconds)
        log.info("%s", words)
        limit = self.operation.cpu_hours_limit
        if on_cpu and limit is not None and seconds > limit * HOUR:
            network = self.finetuning.network
            smaller = (
                f"add the overlay {OVERLAY}"
                if network is None
                else (f"lower baselines.{network['name']}.steps")
            )
            raise InputError(
                f"Training on this machine, which has no GPU: {words}, above "
                f"finetune.operation.cpu_hours_limit, which is {limit:g}: use a machine with a GPU,"
                f" {smaller}, or raise the limit."
            )

    def _alone(self) -> SingleLearner:
        return SingleLearner(self.finetuning, self.data, self.operation.micro_batch, self.scratch)

    def _train_alone(self, fold: int, tally: Tally) -> tuple[int, float, float]:
        with _threads(1):
            (trained,) = self._train_group(self._alone(), [fold], tally.add)
        return self._sum_up(trained)

    def _sum_up(self, trained: Fold) -> tuple[int, float, float]:
        """Return fold, validation score and seconds: processes need not send what was trained."""
        score = trained.validation_score(self.finetuning.metric)
        return trained.fold, score, trained.seconds

    def _train_group(
        self, learner: Learner, group: Sequence[int], tick: Callable[[int], object]
    ) -> Iterator[Fold]:
        """Yield each fold of a group where it ends, when it is kept."""
        name = group[0]

        def save(checkpoints: Mapping[int, Checkpoint]) -> None:
            self.running.write(name, checkpoints)

        training = Training(
            learner,
            group,
            self.running.read(name),
            tick=tick,
            save=save,
            minutes=self.operation.checkpoint_minutes,
        )
        for trained in training:
            self.kept.write(_name(trained.fold), trained)
            yield trained
        self.running.remove(name)

    def _report(self, finished: Iterable[tuple[int, float, float]]) -> None:
        metric = self.finetuning.metric
        for fold, score, seconds in finished:
            log.info("fold %d: validation %s %.4f after %.1f s", fold, metric, score, seconds)


def _group_by_step(done: Mapping[int, int], most: int) -> list[list[int]]:
    """Return groups of at most so many folds, all equally far, those that are furthest first."""
    groups = []
    for step in sorted(set(done.values()), reverse=True):
        equal = [fold for fold, made in done.items() if made == step]
        groups += [equal[first : first + most] for first in range(0, len(equal), most)]
    return groups


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads: with one, folds run side by side, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
