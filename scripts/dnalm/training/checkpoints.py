"""The state of training after a step, complete or not there.

A checkpoint is a folder step-00000200 with model.safetensors (the encoder under its published
names), optimizer.safetensors (Adam's moments under the encoder's own parameter names, and sums not
yet reported) and progress.json, which is written last and lists the sizes of the other two.
"""

import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dnalm.files import atomic_path, read_json
from dnalm.model.encoder import Encoder
from dnalm.model.weights import save_tensors, save_weights

MODEL, OPTIMIZER, PROGRESS = "model.safetensors", "optimizer.safetensors", "progress.json"
NAME = re.compile(r"step-(\d{8,})")
UNFINISHED = re.compile(rf"\.{NAME.pattern}\.\d+")  # as `atomic_path` names them
TOTALS = "totals"

logger = logging.getLogger(__name__)


def save_checkpoint(
    folder: Path,
    *,
    encoder: Encoder,
    optimizer: torch.optim.Optimizer,
    totals: Tensor,
    progress: dict[str, Any],
    keep_last: int,
) -> Path:
    """Write `folder`/step-…, named by progress["step"], and remove all but the newest `keep_last`.

    `totals` are sums that go into the next history row. Everything is on the disk before the
    folder gets its name.
    """
    path = folder / f"step-{progress['step']:08d}"
    tensors = {
        f"{key}.{name}": value.detach().cpu()
        for name, parameter in encoder.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }
    if path.exists():  # left incomplete by a crash: `find_checkpoint` passed it over
        shutil.rmtree(path)
    with atomic_path(path) as temporary:
        temporary.mkdir()
        save_weights(encoder, temporary / MODEL, {"step": str(progress["step"])})
        save_tensors(tensors | {TOTALS: totals.cpu()}, temporary / OPTIMIZER, {})
        sizes = {name: (temporary / name).stat().st_size for name in (MODEL, OPTIMIZER)}
        (temporary / PROGRESS).write_text(json.dumps(progress | {"bytes": sizes}, indent=2) + "\n")
        for name in (MODEL, OPTIMIZER, PROGRESS):
            _sync(temporary / name)
        _sync(temporary)
    _sync(folder)
    for old in _by_age(folder)[:-keep_last]:
        shutil.rmtree(old)
    return path


def remove_unfinished(folder: Path) -> None:
    """Delete what a killed process left of checkpoints in `folder`; nobody may be writing there."""
    for path in folder.glob(".*"):
        if UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)  # no reason not to train
            logger.info("Removed %s, which a killed process left unfinished.", path)


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in `folder`, None when there is none."""
    for path in reversed(_by_age(folder)):
        if is_complete(path):
            return path
        logger.warning("%s is not complete; an older checkpoint is used.", path)
    return None


def is_complete(path: Path) -> bool:
    """Return whether a checkpoint holds all that was written to it."""
    try:
        sizes = read_progress(path)["bytes"]
        return all((path / name).stat().st_size == sizes[name] for name in (MODEL, OPTIMIZER))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_progress(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` was given as `progress`."""
    return read_json(path / PROGRESS)


def load_optimizer(path: Path, encoder: Encoder, optimizer: torch.optim.Optimizer) -> Tensor:
    """Put a checkpoint's moments into `optimizer`; return the sums not yet reported.

    Raises `ValueError` when the file is damaged.
    """
    try:
        tensors = load_file(path / OPTIMIZER)
    except SafetensorError as error:
        raise ValueError(f"{path / OPTIMIZER} is damaged: {error}") from error
    totals = tensors.pop(TOTALS)
    parameters = dict(encoder.named_parameters())
    for name, tensor in tensors.items():
        key, parameter = name.split(".", maxsplit=1)
        device = parameters[parameter].device
        optimizer.state[parameters[parameter]][key] = tensor.to(device)
    return totals


def _by_age(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, oldest first; temporary folders are none."""
    if not folder.exists():
        return []
    named = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if match)]


def _sync(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
