"""One fold on its way: its batches, its step, its losses and evaluations."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnalm.benchmark.finetuning.evaluations import Evaluations
from dnalm.benchmark.finetuning.learner import FoldState, seed_fold
from dnalm.benchmark.finetuning.schedule import rate_at
from dnalm.benchmark.finetuning.task_data import TaskData
from dnalm.benchmark.scoring.metrics import single_score
from dnalm.benchmark.scoring.stored_outputs import Outputs, decide
from dnalm.benchmark.tasks.kinds import cut_to
from dnalm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A fold between two steps: what its steps change, what was kept, and what is known of it."""

    state: FoldState
    kept: dict[str, Tensor]
    facts: dict[str, Any]

    @property
    def step(self) -> int:
        """How many steps were made."""
        return self.facts["step"]


class FoldRun:
    """Counts the steps of one fold and deals its batches; knows when to evaluate and to end."""

    def __init__(self, data: TaskData, fold: int, checkpoint: Checkpoint | None = None) -> None:
        """Begin, or go on from a checkpoint: the batches of its steps are dealt and left out."""
        self.fold, self.config = fold, data.finetuning.config
        self._kind, self._table = data.kind, data.finetuning.table
        own = data.fold(fold)
        self._labels, self.validation = own.labels, own.split.validation
        random = seed_fold(self.config, fold)
        self._batches = data.rows.shuffled(own.split.training, self.config.batch_size, random)
        self._metric = data.finetuning.metric
        self.evaluations = Evaluations(self.config, self._metric)
        self.step, self.seconds = 0, 0.0
        self._read: list[float] = []  # losses since the last evaluation
        self._unread: list[Tensor] = []
        if checkpoint is not None:
            facts = checkpoint.facts
            self.step, self.seconds, self._read = facts["step"], facts["seconds"], facts["losses"]
            self.evaluations.take_up(facts["evaluations"], checkpoint.kept)
            for _ in range(self.step):
                next(self._batches)

    def deal(self) -> np.ndarray:
        """Begin the next step; return the rows of its batch."""
        self.step += 1
        return next(self._batches)

    @property
    def rate(self) -> float:
        """The learning rate of the step that was begun."""
        return rate_at(
            self.step,
            self.config.steps,
            peak=self.config.learning_rate,
            warmup_steps=self.config.warmup_steps,
            schedule=self.config.schedule,
        )

    def note(self, loss: Tensor) -> None:
        """Keep the loss of a step, to be read with others: the host need not wait for each."""
        self._unread.append(loss)

    @property
    def due(self) -> bool:
        """Whether this step is followed by an evaluation."""
        return self.step % self.config.evaluate_every == 0 or self.step == self.config.steps

    @property
    def ended(self) -> bool:
        """Whether no step is left to be made."""
        return self.step == self.config.steps or (self._evaluated and self.evaluations.exhausted)

    @property
    def _evaluated(self) -> bool:
        history = self.evaluations.history
        return bool(history) and history[-1]["step"] == self.step

    def evaluate(self, outputs: Outputs, state: Callable[[], dict[str, Tensor]]) -> None:
        """Score the outputs for the validation rows; that of a regression has no scale."""
        losses = self._take_losses()
        truth = cut_to(outputs, self._labels[self.validation], self._kind)
        decided = decide(outputs, self._kind)
        score = single_score(self._metric, truth, decided, outputs, self._kind.name)
        self.evaluations.add(self.step, float(np.mean(losses)), score, state)
        self._read = []

    def checkpoint(self, state: FoldState) -> Checkpoint:
        """Return what it takes to go on from here."""
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "losses": self._take_losses(),
            "evaluations": self.evaluations.facts(),
        }
        return Checkpoint(state=state, kept=self.evaluations.tensors, facts=facts)

    def _take_losses(self) -> list[float]:
        """Read the losses since the last evaluation; raise InputError where one is not finite."""
        if self._unread:
            self._read = self._read + torch.stack(self._unread).tolist()
            self._unread = []
        for number, loss in enumerate(self._read, start=self.step - len(self._read) + 1):
            if not math.isfinite(loss):
                raise InputError(
                    f"{self._table}: the loss of fold {self.fold} is {loss} at step {number}: "
                    "lower finetune's learning_rate or set its gradient_clip."
                )
        return self._read
