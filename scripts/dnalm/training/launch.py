"""From a command line to finished weights, with one process or many.

    python scripts/pretrain.py --run run.json --operation operation.json ...

State grows in <folder of the weights>/state/<hash of all that decides them>/, which Snakemake does
not know: checkpoints/, history.jsonl, tensorboard/ and lock.json. The two results are copied from
there after the last step.
"""

import argparse
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json
from dnalm.genome.kmers import Vocabulary
from dnalm.genome.personal import find_panel
from dnalm.genome.samples import TrainingWindows
from dnalm.job import job
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import load_weights
from dnalm.training.batches import Batches
from dnalm.training.checkpoints import MODEL, find_checkpoint, read_progress, remove_unfinished
from dnalm.training.distributed import Group, count_processes, find_environment
from dnalm.training.evaluation import Evaluation
from dnalm.training.history import History, export_history, is_measured
from dnalm.training.interruption import Interruption
from dnalm.training.lock import Lock
from dnalm.training.scratch import copy_genomes, copy_panel
from dnalm.training.settings import Operation, Run, name_windows, state_hash
from dnalm.training.trainer import Trainer

CHECKPOINTS, HISTORY, LOCK, BOARD = "checkpoints", "history.jsonl", "lock.json", "tensorboard"
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"

logger = logging.getLogger(__name__)


def main(command: Sequence[str]) -> None:
    """Pre-train as `command` (a script and its arguments) says; exit with 1 and a sentence if not.

    Alone and asked for several processes, this one becomes `torchrun` with the same command.
    """
    started = time.monotonic()
    arguments = parse(command[1:])
    environment = find_environment(os.environ)
    if environment is None:
        processes = count_processes(read_json(arguments.operation)["processes"])
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone"]
            options = [f"--nproc-per-node={processes}", f"--signals-to-handle={SIGNALS}"]
            # Without the dashes the launcher takes our --run for one of its own options.
            os.execv(sys.executable, [sys.executable, *launcher, *options, "--", *command])
    group = Group(environment)
    # The processes share one log, written by the first; the others repeat its errors.
    with job(arguments.log if group.first else os.devnull), closing(group):
        reason = pretrain(arguments, group, started=started)
        if reason:
            sentence = (
                f"Pre-training was stopped by {reason} and has saved its state; run the same "
                "command again to continue."
            )
            logger.warning(sentence)
            sys.exit(sentence if group.first else 1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line's paths."""
    parser = argparse.ArgumentParser(description="Pre-train one encoder.")
    for name, help_text in (
        ("run", "run.json: all that decides the weights"),
        ("operation", "operation.json: how to carry it out"),
        ("corpus", "manifest.json of the corpus"),
        ("validation", "validation.npy of the corpus"),
        ("test", "test.npy of the corpus"),
        ("kmer-counts", "kmer_counts.npy of the corpus"),
        ("genomes-folder", "folder with one folder of bases per genome"),
        ("panels-folder", "folder with one folder of haplotypes per panel"),
        ("weights", "where the final weights go (safetensors)"),
        ("history", "where the final history goes (JSON lines)"),
        ("log", "log file"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH", help=help_text)
    return parser.parse_args(arguments)


def pretrain(paths: argparse.Namespace, group: Group, *, started: float) -> str | None:
    """Train, or continue, or find finished, and write weights and history.

    `paths` is what `parse` returns, `started` the `time.monotonic()` from which the time limit
    counts. Returns None when both files are written, or what stopped training before. Raises
    `InputError`.
    """
    settings, manifest = read_json(paths.run), read_json(paths.corpus)
    run, operation = Run.from_dict(settings), Operation.read(paths.operation)
    check_fit(run, manifest, paths)
    steps = run.pretrain.count_steps(manifest["tokens"])
    state = paths.weights.parent / "state" / state_hash(settings, manifest, paths.kmer_counts)
    # What is held out decides no weight: other windows are measured by the same state.
    held_out = name_windows(paths.validation, paths.test)
    with ExitStack() as stack:
        lock = Lock(state / LOCK)
        group.from_first(lambda: stack.enter_context(lock) and None)
        group.from_first(lambda: remove_unfinished(state / CHECKPOINTS))
        newest = group.from_first(lambda: _text(find_checkpoint(state / CHECKPOINTS)))
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
            interruption = stack.enter_context(
                Interruption(operation.runtime_minutes, started=started)
            )
            trainer = assemble(run, operation, manifest, paths, group, history, state, checkpoint)
            reason = trainer.train(interruption)
            if reason:
                return reason
            checkpoint = state / CHECKPOINTS / f"step-{steps:08d}"
        else:
            logger.info("%s: all %d steps were done before, nothing is trained.", run.model, steps)
        group.from_first(lambda: export(checkpoint, state / HISTORY, held_out, paths))
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
    weights = checkpoint / MODEL if checkpoint else run.initial_weights
    trainer = Trainer(
        encoder=make_encoder(run, weights),
        config=run.pretrain,
        operation=operation,
        steps=run.pretrain.count_steps(manifest["tokens"]),
        batches=Batches(
            TrainingWindows(manifest, genomes, run.pretrain.seed, panel=panel),
            run.pretrain,
            vocabulary,
            micro_batch=operation.micro_batch,
            rank=group.rank,
            size=group.size,
        ),
        **{
            split: Evaluation(
                np.load(windows),
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


def export(checkpoint: Path, history: Path, held_out: str, paths: argparse.Namespace) -> None:
    """Copy the results to where they are declared."""
    export_history(history, paths.history, held_out)
    with atomic_path(paths.weights) as temporary:
        shutil.copyfile(checkpoint / MODEL, temporary)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
