"""Pre-training from a command line to finished weights, with one process or many.

    python scripts/pretrain.py --run run.json --operation operation.json ...

State grows in <folder of the weights>/state/<hash of all that decides them>/, which Snakemake does
not know: checkpoints/, history.jsonl, tensorboard/ and lock.json. The two results are copied from
there after the last step.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import torch

from dnalm.corpus.build import evaluated_genomes
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json
from dnalm.genome.haplotypes.contig import find_panel
from dnalm.genome.kmers import Vocabulary
from dnalm.jobs.device_use import save_use
from dnalm.jobs.job import job
from dnalm.jobs.lock import Lock
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import load_weights
from dnalm.parallel.distributed import (
    Group,
    become_launcher,
    count_processes,
    find_environment,
)
from dnalm.training.arguments import Allocation, RunFiles, parse
from dnalm.training.batches import Batches
from dnalm.training.checkpoints import (
    checkpoint_path,
    export_weights,
    read_encoder,
    read_progress,
    tidy_up,
)
from dnalm.training.estimates import plan_run
from dnalm.training.evaluation import Evaluation
from dnalm.training.fingerprints import state_hash, windows_hash
from dnalm.training.history import History, export_history, is_measured
from dnalm.training.inputs import Inputs, read_inputs
from dnalm.training.interruption import Interruption
from dnalm.training.preflight import examine, exchange
from dnalm.training.requeue import Stop, find_job, find_limit, requeue
from dnalm.training.scratch import copy_genomes, copy_panel
from dnalm.training.settings import Operation, Run
from dnalm.training.trainer import STOPPED_ELSEWHERE, Trainer

CHECKPOINTS, HISTORY, LOCK, BOARD = "checkpoints", "history.jsonl", "lock.json", "tensorboard"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class State:
    """A state folder under lock, and how far training in it has come.

    `checkpoint` is the newest complete one and `step` its step, both None where there is none;
    `held_out` is the fingerprint of the held-out windows. The first process alone holds `lock`.
    """

    folder: Path
    lock: Lock
    checkpoint: Path | None
    step: int | None
    held_out: str

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def history(self) -> Path:
        """Return the file of history rows that grows with training."""
        return self.folder / HISTORY


def main(command: Sequence[str]) -> None:
    """Pre-train as `command` (a script and its arguments) says; exit with 1 and a sentence if not.

    Started alone where several processes are wanted, this one becomes `torchrun` or `srun` with
    the same command.
    """
    started = time.monotonic()
    files, allocation = parse(command[1:])
    with join(command, files.operation, files.log, allocation) as group:
        if stop := pretrain(files, allocation, group, started=started):
            end_early(stop, allocation, group)


@contextmanager
def join(
    command: Sequence[str], operation: str | Path, log: Path, allocation: Allocation
) -> Iterator[Group]:
    """Yield the process group that the processes of `command` form, with a job's log and errors.

    Started alone where `operation`, its file or text, or the allocation want several processes,
    this one becomes their launcher.
    """
    environment = find_environment(os.environ)
    if environment is None:
        with job(log):
            become_launcher(
                command,
                nodes=allocation.nodes,
                processes=count_processes(Operation.read(operation).processes),
                gpus=allocation.gpus_per_node,
            )
    with job(os.devnull):
        group = Group(environment)
    # The processes share one log, written by the first; the others repeat its errors.
    with job(log if group.first else os.devnull), closing(group):
        yield group


def pretrain(
    files: RunFiles, allocation: Allocation, group: Group, *, started: float
) -> Stop | None:
    """Train, or continue, or find finished, and write weights and history.

    `started` is the `time.monotonic()` from which the time limit counts. Returns None when both
    files are written, or how training ended before. Raises `InputError`.
    """
    inputs = read_inputs(files)
    with ExitStack() as stack:
        state = open_state(inputs, allocation, group, stack)
        if not is_finished(inputs, state, group):
            torch.set_num_threads(inputs.operation.threads)
            history = open_history(inputs, state, stack) if group.first else None
            limits = (inputs.operation.runtime_minutes, allocation.runtime_minutes)
            minutes = group.from_first(lambda: find_limit(*limits, started=started))
            interruption = stack.enter_context(Interruption(minutes, started=started))
            trainer = assemble(inputs, state, group, history)
            if stop := train(trainer, interruption, state, group):
                return stop
        group.from_first(state.lock.check)
        group.from_first(lambda: export(inputs, state))
    return None


def end_early(stop: Stop, allocation: Allocation, group: Group) -> NoReturn:
    """See to what follows a stop before the last step, say it in one sentence and exit with 1."""
    circumstances = {"job": find_job(os.environ), "scheduled": allocation.runtime_minutes > 0}
    save_use()  # Slurm kills what it queues again
    next_to_come = group.from_first(lambda: requeue(stop, **circumstances))
    sentence = f"Pre-training was stopped by {stop.reason} and has saved its state; {next_to_come}."
    logger.warning(sentence)
    sys.exit(sentence if group.first else 1)


def open_state(inputs: Inputs, allocation: Allocation, group: Group, stack: ExitStack) -> State:
    """Return the run's state folder, examined and locked until `stack` closes.

    Raises `InputError` where training could not go on there, or another trainer writes it.
    """
    files, manifest = inputs.files, inputs.manifest
    identity = state_hash(read_json(files.run), manifest, files.kmer_counts)
    folder = files.weights.parent / "state" / identity
    # What is held out decides no weight: other windows are measured by the same state.
    held_out = windows_hash(manifest, files.validation, files.test)
    examine(
        group,
        folder,
        inputs.encoder,
        nodes=allocation.nodes,
        gpus=allocation.gpus_per_node,
        keep_last=inputs.operation.keep_last,
    )
    lock = Lock(folder / LOCK)
    group.from_first(lambda: stack.enter_context(lock) and None)
    newest = group.from_first(lambda: _text(tidy_up(folder / CHECKPOINTS)))
    checkpoint = Path(newest) if newest else None
    step = read_progress(checkpoint)["step"] if checkpoint else None
    return State(folder=folder, lock=lock, checkpoint=checkpoint, step=step, held_out=held_out)


def is_finished(inputs: Inputs, state: State, group: Group) -> bool:
    """Return whether the last step is done and measured on the held-out windows; log it."""
    name, steps = inputs.run.model, inputs.steps
    if state.step == steps and group.from_first(
        lambda: is_measured(state.history, steps, state.held_out)
    ):
        logger.info("%s: all %d steps were done before, nothing is trained.", name, steps)
        return True
    done = state.step or 0
    logger.info("%s: %d of %d steps are done, state in %s.", name, done, steps, state.folder)
    return False


def open_history(inputs: Inputs, state: State, stack: ExitStack) -> History:
    """Return the history of the state folder, cut back to its checkpoint, open with `stack`."""
    board = state.folder / BOARD if inputs.operation.tensorboard else None
    history = History(
        state.history,
        last_step=state.step,
        held_out=state.held_out,
        lock=state.lock,
        board=board,
    )
    return stack.enter_context(history)


def assemble(inputs: Inputs, state: State, group: Group, history: History | None) -> Trainer:
    """Return a trainer at the beginning, or where the checkpoint of `state` was left."""
    inputs = inputs.settled(group)
    run, operation = inputs.run, inputs.operation
    batches = make_batches(inputs, group)
    trainer = Trainer(
        encoder=(
            read_encoder(state.checkpoint, inputs.encoder)
            if state.checkpoint
            else make_encoder(run, run.initial_weights)
        ),
        layout=plan_run(run, operation, batches, group),
        config=run.pretrain,
        operation=operation,
        steps=inputs.steps,
        batches=batches,
        validation=make_evaluation(inputs, "validation", group),
        test=make_evaluation(inputs, "test", group),
        group=group,
        history=history,
        checkpoints=state.checkpoints,
    )
    if state.checkpoint:
        trainer.resume(state.checkpoint)
    return trainer


def make_batches(inputs: Inputs, group: Group) -> Batches:
    """Return the batches of training windows, read from copies of genomes where `scratch` says."""
    files, manifest, operation = inputs.files, inputs.manifest, inputs.operation
    names = [entry["name"] for entry in manifest["genomes"]]
    genomes = {name: files.genomes_folder / name for name in names}
    panel = find_panel(manifest, files.panels_folder)
    if operation.scratch is not None:
        genomes = copy_genomes(genomes, operation.scratch, group)
        panel = panel and copy_panel(panel, manifest["haplotypes"], operation.scratch, group)
    return Batches(
        TrainingWindows(manifest, genomes, inputs.run.pretrain.seed, panel=panel),
        inputs.run.pretrain,
        Vocabulary(inputs.run.k, inputs.run.vocabulary),
        micro_batch=operation.micro_batch,
        rank=group.rank,
        size=group.size,
    )


def make_evaluation(
    inputs: Inputs, split: Literal["validation", "test"], group: Group
) -> Evaluation:
    """Return the evaluation on the fixed windows of one split."""
    return Evaluation(
        np.load(getattr(inputs.files, split)),
        evaluated_genomes(inputs.manifest, split),
        np.load(inputs.files.kmer_counts),
        inputs.run.pretrain,
        Vocabulary(inputs.run.k, inputs.run.vocabulary),
        split=split,
        micro_batch=inputs.operation.micro_batch,
        group=group,
    )


def train(trainer: Trainer, interruption: Interruption, state: State, group: Group) -> Stop | None:
    """Train to the last step; return None, or how training was stopped before, state saved."""
    reason = trainer.train(interruption)
    if not reason:
        return None
    requests = tuple(exchange(group, interruption.reason))
    if reason == STOPPED_ELSEWHERE:  # whoever noticed first
        reason = next(filter(None, requests), reason)
    gained = trainer.done["step"] - (state.step or 0)
    return Stop(reason=reason, requests=requests, gained=gained)


def export(inputs: Inputs, state: State) -> None:
    """Copy the results to where they are declared; `InputError` where the disk is full."""
    files = inputs.files
    checkpoint = checkpoint_path(state.checkpoints, inputs.steps)
    try:
        export_history(state.history, files.history, state.held_out)
        with atomic_path(files.weights) as temporary:
            export_weights(checkpoint, inputs.encoder, temporary)
        logger.info("%s: trained weights are in %s.", inputs.run.model, files.weights)
    except OSError as error:
        raise InputError(
            f"The trained weights cannot be copied to {files.weights} ({error}); make room, then "
            f"run again: training is done and kept in {checkpoint}."
        ) from error


def make_encoder(run: Run, weights: str | Path | None) -> Encoder:
    """Return the run's encoder on the CPU, with the weights of a file or else a seeded draw."""
    config = EncoderConfig(**run.encoder)
    if weights is not None:
        return load_weights(config, weights)
    with torch.device("meta"):  # or torch would draw all weights first, in vain
        encoder = Encoder(config)
    encoder.to_empty(device="cpu")
    initialise(encoder, run.pretrain.seed)
    return encoder


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
