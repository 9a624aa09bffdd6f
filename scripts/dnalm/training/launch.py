"""From a command line to finished weights, with one process or many.

    python scripts/pretrain.py --run run.json --operation operation.json ...

State grows in <folder of the weights>/state/<hash of all that decides them>/, which Snakemake does
not know: checkpoints/, history.jsonl, tensorboard/ and lock.json. The two results are copied from
there after the last step.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch

from dnalm.corpus.build import evaluated_genomes
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json
from dnalm.genome.haplotypes.contig import find_panel
from dnalm.genome.kmers import Vocabulary
from dnalm.job import job
from dnalm.lock import Lock
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import load_weights
from dnalm.training.arguments import parse
from dnalm.training.batches import Batches
from dnalm.training.checkpoints import (
    export_weights,
    read_encoder,
    read_progress,
    tidy_up,
)
from dnalm.training.distributed import (
    Group,
    become_launcher,
    count_processes,
    find_environment,
)
from dnalm.training.estimates import plan_run
from dnalm.training.evaluation import Evaluation
from dnalm.training.fingerprints import name_windows, state_hash
from dnalm.training.history import History, export_history, is_measured
from dnalm.training.interruption import Interruption
from dnalm.training.preflight import examine, exchange
from dnalm.training.requeue import Stop, find_job, find_limit, go_on
from dnalm.training.scratch import copy_genomes, copy_panel
from dnalm.training.settings import Operation, Run, find_weightless
from dnalm.training.trainer import ELSEWHERE, Trainer

CHECKPOINTS, HISTORY, LOCK, BOARD = "checkpoints", "history.jsonl", "lock.json", "tensorboard"

logger = logging.getLogger(__name__)


def main(command: Sequence[str]) -> None:
    """Pre-train as `command` (a script and its arguments) says; exit with 1 and a sentence if not.

    Alone and asked for several processes, this one becomes `torchrun` or `srun` with the same
    command.
    """
    started = time.monotonic()
    arguments = parse(command[1:])
    environment = find_environment(os.environ)
    if environment is None:
        with job(arguments.log):
            processes = count_processes(read_json(arguments.operation)["processes"])
            wanted = {"nodes": arguments.nodes, "gpus": arguments.gpus_per_node}
            become_launcher(command, processes=processes, **wanted)
    with job(os.devnull):
        group = Group(environment)
    # The processes share one log, written by the first; the others repeat its errors.
    with job(arguments.log if group.first else os.devnull), closing(group):
        stop = pretrain(arguments, group, started=started)
        if stop:
            wanted = {"job": find_job(os.environ), "scheduled": arguments.runtime_minutes > 0}
            next_to_come = group.from_first(lambda: go_on(stop, **wanted))
            sentence = (
                f"Pre-training was stopped by {stop.reason} and has saved its state; "
                f"{next_to_come}."
            )
            logger.warning(sentence)
            sys.exit(sentence if group.first else 1)


def pretrain(paths: argparse.Namespace, group: Group, *, started: float) -> Stop | None:
    """Train, or continue, or find finished, and write weights and history.

    `paths` is what `parse` returns, `started` the `time.monotonic()` from which the time limit
    counts. Returns None when both files are written, or how training ended before. Raises
    `InputError`.
    """
    settings, manifest = read_json(paths.run), read_json(paths.corpus)
    run, operation = Run.from_dict(settings), Operation.read(paths.operation)
    check_fit(run, manifest, paths)
    steps = run.pretrain.count_steps(manifest["tokens"])
    state = paths.weights.parent / "state" / state_hash(settings, manifest, paths.kmer_counts)
    # What is held out decides no weight: other windows are measured by the same state.
    held_out = name_windows(manifest, paths.validation, paths.test)
    asked = {"nodes": paths.nodes, "gpus": paths.gpus_per_node, "keep_last": operation.keep_last}
    examine(group, state, EncoderConfig(**run.encoder), **asked)
    with ExitStack() as stack:
        lock = Lock(state / LOCK)
        group.from_first(lambda: stack.enter_context(lock) and None)
        newest = group.from_first(lambda: _text(tidy_up(state / CHECKPOINTS)))
        checkpoint = Path(newest) if newest else None
        done = read_progress(checkpoint)["step"] if checkpoint else None
        finished = done == steps and group.from_first(
            lambda: is_measured(state / HISTORY, steps, held_out)
        )
        if not finished:
            logger.info(
                "%s: %d of %d steps are done, state in %s.", run.model, done or 0, steps, state
            )
            torch.set_num_threads(operation.threads)
            history = None
            if group.first:
                board = state / BOARD if operation.tensorboard else None
                history = stack.enter_context(
                    History(
                        state / HISTORY, last_step=done, held_out=held_out, lock=lock, board=board
                    )
                )
            wanted = (operation.runtime_minutes, paths.runtime_minutes)
            limit = group.from_first(lambda: find_limit(*wanted, started=started))
            interruption = stack.enter_context(Interruption(limit, started=started))
            trainer = assemble(run, operation, manifest, paths, group, history, state, checkpoint)
            reason = trainer.train(interruption)
            if reason:
                asked = tuple(exchange(group, interruption.reason))
                if reason == ELSEWHERE:  # whoever noticed first
                    reason = next(filter(None, asked), reason)
                gained = trainer.done["step"] - (done or 0)
                return Stop(reason=reason, asked=asked, gained=gained)
            checkpoint = state / CHECKPOINTS / f"step-{steps:08d}"
        else:
            logger.info("%s: all %d steps were done before, nothing is trained.", run.model, steps)
        group.from_first(lock.check)
        group.from_first(lambda: export(run, checkpoint, state / HISTORY, held_out, paths))
    return None


def assemble(
    run: Run,
    operation: Operation,
    manifest: dict,
    paths: argparse.Namespace,
    group: Group,
    history: History | None,
    state: Path,
    checkpoint: Path | None,
) -> Trainer:
    """Return a trainer at the beginning, or where `checkpoint` was left."""
    genomes = {entry["name"]: paths.genomes_folder / entry["name"] for entry in manifest["genomes"]}
    panel = find_panel(manifest, paths.panels_folder)
    if operation.scratch is not None:
        genomes = copy_genomes(genomes, operation.scratch, group)
        panel = panel and copy_panel(panel, manifest["haplotypes"], operation.scratch, group)
    vocabulary = Vocabulary(run.k, run.vocabulary)
    batches = Batches(
        TrainingWindows(manifest, genomes, run.pretrain.seed, panel=panel),
        run.pretrain,
        vocabulary,
        micro_batch=operation.micro_batch,
        rank=group.rank,
        size=group.size,
    )
    trainer = Trainer(
        encoder=(
            read_encoder(checkpoint, EncoderConfig(**run.encoder))
            if checkpoint
            else make_encoder(run, run.initial_weights)
        ),
        layout=plan_run(run, operation, batches, group),
        config=run.pretrain,
        operation=operation,
        steps=run.pretrain.count_steps(manifest["tokens"]),
        batches=batches,
        **{
            split: Evaluation(
                np.load(windows),
                evaluated_genomes(manifest, split),
                np.load(paths.kmer_counts),
                run.pretrain,
                vocabulary,
                split=split,
                micro_batch=operation.micro_batch,
                group=group,
            )
            for split, windows in (("validation", paths.validation), ("test", paths.test))
        },
        group=group,
        history=history,
        checkpoints=state / CHECKPOINTS,
    )
    if checkpoint:
        trainer.resume(checkpoint)
    return trainer


def make_encoder(run: Run, weights: str | Path | None) -> Encoder:
    """Return the run's encoder on the CPU, with the weights of a file or else a seeded draw."""
    config = EncoderConfig(**run.encoder)
    if weights is not None:
        return load_weights(config, weights)
    encoder = Encoder(config)
    initialise(encoder, run.pretrain.seed)
    return encoder


def check_fit(run: Run, manifest: dict, paths: argparse.Namespace) -> None:
    """Raise `InputError` unless the encoder can read the corpus."""
    for key, wanted in (("k", run.k), ("vocabulary", run.vocabulary)):
        if manifest[key] != wanted:
            raise InputError(
                f"{paths.corpus} has {key} {manifest[key]}, but model {run.model} has {wanted}; "
                "give the model a corpus of its own vocabulary."
            )
    if manifest["tokens"] > run.encoder["max_tokens"]:
        raise InputError(
            f"{paths.corpus} has windows of {manifest['tokens']} tokens, but model {run.model} "
            f"takes at most {run.encoder['max_tokens']}; lower the corpus's max_tokens."
        )
    if fault := find_weightless(run.pretrain, manifest["tokens"]):
        raise InputError(f"{paths.corpus}: {fault}")


def export(
    run: Run, checkpoint: Path, history: Path, held_out: str, paths: argparse.Namespace
) -> None:
    """Copy the results to where they are declared; `InputError` where the disk is full."""
    try:
        export_history(history, paths.history, held_out)
        with atomic_path(paths.weights) as temporary:
            export_weights(checkpoint, EncoderConfig(**run.encoder), temporary)
        logger.info("%s: trained weights are in %s.", run.model, paths.weights)
    except OSError as error:
        raise InputError(
            f"The trained weights cannot be copied to {paths.weights} ({error}); make room, then "
            f"run again: training is done and kept in {checkpoint}."
        ) from error


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
