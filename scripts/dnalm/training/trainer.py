"""The training loop: data-parallel or sharded, with equal results for any number of processes.

Every process holds all weights, or a shard of them, and works on its part of each global batch. The
loss is summed over selected tokens and divided by their number in the global batch; it is no mean
of means.
"""

import logging
import time
from contextlib import AbstractContextManager, closing
from pathlib import Path

import torch

from dnalm.corpus.sampling import Stream, generator
from dnalm.devices import peak_memory
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import Layout, arrange, prepare_pass
from dnalm.training.attention import prefer_kernels, time_kernels
from dnalm.training.batches import Batches, MicroBatch, StepBatch
from dnalm.training.checkpoints import COUNTS, read_moments, read_progress
from dnalm.training.evaluation import Evaluation
from dnalm.training.finiteness import FinitenessMonitor, refuse_empty_steps
from dnalm.training.hardware import count_flops, find_peak, flops_utilisation
from dnalm.training.history import History, is_measured, leave_genomes_out
from dnalm.training.interruption import Interruption
from dnalm.training.masking import Kind
from dnalm.training.memory import explain_out_of_memory
from dnalm.training.objective import describe, score, tally
from dnalm.training.optimizer import Optimizer
from dnalm.training.progress import TrainingProgress
from dnalm.training.settings import Operation, PretrainConfig
from dnalm.training.writer import CheckpointWriter

STOPPED_ELSEWHERE = "another process"  # the reason where this process had none itself
logger = logging.getLogger(__name__)


class Trainer:
    """One process's part of training `encoder` for `steps` steps.

    Shapes of batches and tallies are those of `MicroBatch` and `tally`. `history` is None in
    all processes but the first, which writes it; `checkpoints` is a folder.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        layout: Layout,
        config: PretrainConfig,
        operation: Operation,
        steps: int,
        batches: Batches,
        validation: Evaluation,
        test: Evaluation,
        group: Group,
        history: History | None,
        checkpoints: Path,
    ) -> None:
        self.layout, self.group = layout, group
        self.config, self.operation, self.steps = config, operation, steps
        with explain_out_of_memory(operation, layout, group.size, passes=False):
            options = {"precision": config.precision, "compiled": operation.compile}
            self.encoder = arrange(encoder, layout, group, **options).train()
            if config.residual == "bf16":
                self.encoder.residual = torch.bfloat16
            self.optimizer = Optimizer(
                self.encoder,
                config,
                group,
                shards=layout.shards,
                steps=steps,
                reduce_in_backward=operation.reduce_in_backward,
            )
        self.batches = batches
        self.validation, self.test = validation, test
        self.history = history
        self.writer = CheckpointWriter(
            checkpoints, group, keep_last=operation.keep_last, sharded=layout.shards > 1
        )
        self.finiteness = FinitenessMonitor(batches, group)
        # Sums since the last history row, of this process.
        self.totals = torch.zeros(len(Kind), 3, dtype=torch.float64, device=group.device)
        self.done = dict.fromkeys(COUNTS, 0)
        self.saved_at, self.overdue = time.monotonic(), False

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint, whose weights `encoder` was made with."""
        read_moments(checkpoint, self.optimizer.moments, self.totals)
        if not self.group.first:  # they are those of all processes
            self.totals.zero_()
        progress = read_progress(checkpoint)
        self.done = {key: progress[key] for key in self.done}

    def train(self, interruption: Interruption) -> str | None:
        """Train to the last step and save; return None, or why it stopped before, saved as well.

        With no step left only what is held out is measured again. Raises `InputError` when a loss
        or a gradient is not finite: it names the step and, of a loss, the window; when no step so
        far had a token to learn from; when the memory or the disk is too small: it says what to
        change.
        """
        with (
            closing(self.writer),
            explain_out_of_memory(self.operation, self.layout, self.group.size, passes=True),
            self._attention(),
        ):
            return self._train(interruption)

    def _train(self, interruption: Interruption) -> str | None:
        first = self.done["step"]
        on_gpu = self.group.device.type == "cuda"
        ahead = self.batches.ahead(
            range(first, self.steps), workers=self.operation.workers, pin=on_gpu
        )
        progress = TrainingProgress(
            steps=self.steps,
            done=first,
            tokens_per_step=self.batches.tokens_per_step,
            visible=self.group.first,
        )
        reason = None
        with closing(ahead), progress:
            if first in (0, self.steps) or self._lacks_validation():
                with progress.paused():
                    self._validate(interruption)
            while self.done["step"] < self.steps and not reason:
                with progress.waiting():
                    batch = next(ahead)
                reason = self._step(batch, interruption)
                progress.advance()
                if self._is_due(self.operation.log_every):
                    self._log(progress)
                with progress.paused():
                    # Saved before it is measured: a kill from here on costs no step.
                    if reason or self.overdue or self._is_due(self.operation.checkpoint_every):
                        self._save(interruption)
                    last = self.done["step"] == self.steps
                    if last or (not reason and self._is_due(self.operation.validate_every)):
                        self._validate(interruption)
        if self.steps == 0:
            self._save(interruption)
        self.writer.wait()
        return reason if self.done["step"] < self.steps else None

    def _is_due(self, cadence: int) -> bool:
        return self.done["step"] == self.steps or self.done["step"] % cadence == 0

    def _is_overdue(self) -> bool:
        """Return whether the first process, whose clock counts, saved too long ago."""
        minutes = self.operation.checkpoint_minutes
        late = minutes is not None and time.monotonic() - self.saved_at > 60 * minutes
        return self.group.first and late

    def _lacks_validation(self) -> bool:
        """Return whether the last start was stopped between a checkpoint and its validation."""
        return self._is_due(self.operation.validate_every) and self.group.from_first(
            lambda: not is_measured(self.history.path, self.done["step"], self.history.held_out)
        )

    def _step(self, batch: StepBatch, interruption: Interruption) -> str | None:
        """Make one step; return why to stop when any process wants to."""
        request = interruption.reason or ("a failure to save" if self.writer.has_failed else None)
        weight, thin, stop, overdue = self.group.sum_numbers(
            batch.weight, batch.thin, bool(request), self._is_overdue()
        )
        self.overdue = bool(overdue)
        if weight:
            for index, part in enumerate(batch.parts):
                last = index == len(batch.parts) - 1
                prepare_pass(self.encoder, self.layout, last=last)
                self.optimizer.prepare_pass(last=last)
                self._accumulate(part.to(self.group.device), batch.step, index)
            self.optimizer.update(weight, batch.step + 1)
            self.finiteness.note_gradient(self.optimizer.gradient_norm, batch.step)
        self.done["step"] = batch.step + 1
        self.done["tokens"] += self.batches.tokens_per_step
        self.done["thin_windows"] += int(thin)
        self.done["skipped_steps"] += not weight
        return (request or STOPPED_ELSEWHERE) if stop else None

    def _accumulate(self, part: MicroBatch, step: int, index: int) -> None:
        """Add the gradient of the summed loss of one pass."""
        if self.encoder.config.dropout:
            # Drawn anew for every pass, so that a restart needs no state of a generator.
            sample = self.batches.sample(step, index, 0)
            seed = generator(self.config.seed, Stream.DROPOUT, sample).integers(2**63)
            torch.manual_seed(int(seed))
        with self._autocast():
            losses, hits = score(self.encoder, part)
        weighted = losses * part.weights
        weighted.sum().backward()
        self.totals += tally(losses, hits, part)
        self.finiteness.note_losses(weighted, step, index)

    def _autocast(self) -> AbstractContextManager:
        bf16 = self.config.precision == "bf16"
        return torch.autocast(self.group.device.type, torch.bfloat16, enabled=bf16)

    def _attention(self) -> AbstractContextManager:
        """Measure on a GPU which attention kernel is the fastest, and prefer it in the context."""
        if self.group.device.type != "cuda":
            return prefer_kernels([])
        config = self.encoder.config
        head = config.width // config.heads
        shape = (self.batches.rows, config.heads, self.batches.windows.tokens, head)
        kind = torch.bfloat16 if self.config.precision == "bf16" else torch.float32
        times = self.group.from_first(lambda: time_kernels(shape, kind, self.group.device))
        torch.cuda.reset_peak_memory_stats(self.group.device)
        return prefer_kernels(list(times))

    def _log(self, progress: TrainingProgress) -> None:
        """Write a history row on the steps since the last one."""
        self.finiteness.raise_if_found()
        refuse_empty_steps(self.done, self.config.min_kmers)
        speed = progress.take_speed()
        tokens, slots = self.batches.windows.tokens, self.batches.slots
        flops = count_flops(self.encoder, tokens, slots) / tokens * speed["tokens_per_second"]
        measured = describe(self.group.sum(self.totals))
        self.totals.zero_()
        progress.show(measured["loss"])
        if self.history is not None:
            self.history.append(
                {
                    **self.done,
                    **measured,
                    "lr": self.optimizer.rate(self.done["step"]),
                    "gradient_norm": float(self.optimizer.gradient_norm),
                    **speed,
                    "mfu": flops_utilisation(
                        flops, self.group.device, self.config.precision, self.group.size
                    ),
                    "peak_memory_bytes": peak_memory(self.group.device),
                    "processes": self.group.size,
                    "device": find_peak(self.group.device, self.config.precision)[0],
                    "precision": self.config.precision,
                }
            )

    def _validate(self, interruption: Interruption) -> None:
        """Write a history row on the validation windows, after the last step on the test's too."""
        self.finiteness.raise_if_found()
        begun = time.monotonic()
        with self._autocast():
            measured = self.validation.measure(self.encoder)
            if self.done["step"] == self.steps:
                measured |= self.test.measure(self.encoder)
                measured |= self.validation.measure_context(self.encoder)
        if self.history is not None:
            row = {"step": self.done["step"], "tokens": self.done["tokens"], **measured}
            row["held_out"] = self.history.held_out
            self.history.append(row)
            logger.info("Validation: %s", leave_genomes_out(row))
        interruption.note_evaluation(time.monotonic() - begun)

    def _save(self, interruption: Interruption) -> None:
        """Begin to write a checkpoint; training goes on meanwhile."""
        self.finiteness.raise_if_found()
        if self.history is not None:
            self.history.sync()
        self.writer.save(
            weights=self.optimizer.parameters,
            moments=self.optimizer.moments,
            totals=self.group.sum(self.totals.clone()),
            progress=self.done,
            saved=interruption.note_checkpoint,
        )
        self.saved_at = time.monotonic()
