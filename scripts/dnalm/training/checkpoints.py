"""Checkpoints: the state of training after a step, complete or not there.

A checkpoint is a folder step-00000200. Of whole copies of the weights it holds model.safetensors
(the encoder under its published names) and optimizer.safetensors (Adam's moments under the
encoder's own parameter names, and sums not yet reported); of shards the same tensors in the folder
shards, files of `torch.distributed.checkpoint`, whose index `.metadata` is a pickle: only folders
that this run wrote are read. progress.json is written last and lists the sizes and sums of all
other files. Any number of processes, sharded or not, goes on from either.
"""

import logging
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dnalm.errors import InputError
from dnalm.files import read_json, sha256_of
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.weights import encoder_of, load_weights, save_weights
from dnalm.parallel.sharding import fill

MODEL, OPTIMIZER, PROGRESS = "model.safetensors", "optimizer.safetensors", "progress.json"
SHARDS, MODEL_PREFIX, OPTIMIZER_PREFIX = "shards", "model.", "optimizer."
CHECKPOINT_NAME = re.compile(r"step-(\d{8,})")
UNFINISHED_NAME = re.compile(rf"\.{CHECKPOINT_NAME.pattern}\.\d+")
TOTALS = "totals"
COUNTS = ("step", "tokens", "thin_windows", "skipped_steps")  # progress of training

logger = logging.getLogger(__name__)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies in a folder of checkpoints."""
    return folder / f"step-{step:08d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, oldest first; temporary folders are none."""
    if not folder.exists():
        return []
    named = [(CHECKPOINT_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if match)]


def tidy_up(folder: Path) -> Path | None:
    """Return the checkpoint to resume from, None without one; nobody may be writing there.

    What a killed process left is removed, and damaged checkpoints behind it are renamed.
    """
    remove_unfinished(folder)
    newest = find_checkpoint(folder)
    set_aside_newer(folder, newest)
    return newest


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder` that is complete and undamaged, None without one.

    It reads all bytes of those it looks at.
    """
    for path in reversed(list_checkpoints(folder)):
        damage = find_damage(path)
        if not damage:
            return path
        logger.warning("%s %s; an older checkpoint is used.", path, damage)
    return None


def set_aside_newer(folder: Path, newest: Path | None) -> None:
    """Rename the checkpoints behind `newest`, which are damaged: new ones will have their steps.

    They keep their bytes, as damaged.step-…, for whoever wants to know why.
    """
    left = list_checkpoints(folder)
    for path in left if newest is None else left[left.index(newest) + 1 :]:
        aside = path.with_name(f"damaged.{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        logger.warning("Renamed the damaged checkpoint to %s; nothing reads it any more.", aside)


def find_damage(path: Path) -> str | None:
    """Return the damage of a checkpoint, to stand after its name, None when it is sound."""
    try:
        progress = read_progress(path)
        sizes, sums = progress["bytes"], progress.get("sha256", {})
        found = {name: (path / name).stat().st_size for name in sizes}
        if not sizes or found != sizes or any(key not in progress for key in COUNTS):
            return "is not complete"
        wrong = next((name for name, sum in sums.items() if sha256_of(path / name) != sum), None)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return "is not complete"
    except OSError as error:  # which may pass: no reason to train these steps again
        raise InputError(
            f"{path} cannot be read now ({error}); look at the disk, then run again."
        ) from error
    return wrong and f"is damaged, {wrong} holds other bytes than were written"


def remove_unfinished(folder: Path) -> None:
    """Delete what a killed process left of checkpoints in `folder`; nobody may be writing there."""
    for path in folder.glob(".*"):
        if UNFINISHED_NAME.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)  # no reason not to train
            logger.warning("Removed %s, which a killed process left unfinished.", path)


def read_progress(path: Path) -> dict[str, Any]:
    """Return what was saved as `progress`, with the sizes and sums of files."""
    return read_json(path / PROGRESS)


def read_encoder(path: Path, config: EncoderConfig) -> Encoder:
    """Return a checkpoint's encoder, whole and on the CPU; `InputError` when `config` is another's.

    Files of safetensors are mapped, so that processes of one machine share their memory.
    """
    if not (path / SHARDS).exists():
        return load_weights(config, path / MODEL)
    try:
        return encoder_of(read_all(path / SHARDS, MODEL_PREFIX), config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_moments(path: Path, moments: Mapping[str, Tensor], totals: Tensor) -> None:
    """Fill Adam's `moments` {key.name: tensor}, of a shard its part, and the sums not yet reported.

    Raises `InputError` when the file is damaged.
    """
    if (path / SHARDS).exists():
        named = {f"{OPTIMIZER_PREFIX}{name}": tensor for name, tensor in moments.items()}
        return read_shards(named | {TOTALS: totals}, path / SHARDS)
    try:
        with safe_open(path / OPTIMIZER, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118, it is no mapping
                fill(totals if name == TOTALS else moments[name], file.get_tensor(name))
    except SafetensorError as error:
        raise InputError(
            f"{path / OPTIMIZER} is damaged ({error}); delete {path}, an older one is used then."
        ) from error


def export_weights(path: Path, config: EncoderConfig, destination: Path) -> None:
    """Write a checkpoint's weights as one safetensors file, float32 under published names."""
    if not (path / SHARDS).exists():
        shutil.copyfile(path / MODEL, destination)
        return
    step = str(read_progress(path)["step"])
    save_weights(read_encoder(path, config), destination, {"step": step})


def read_shards(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Fill `tensors`, of a `DTensor` this process's part, by their names in `folder`."""
    from torch.distributed import checkpoint

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        checkpoint.load(dict(tensors), checkpoint_id=folder, no_dist=True)


def read_all(folder: Path, prefix: str) -> dict[str, Tensor]:
    """Return, on the CPU and whole, the tensors whose names begin with `prefix`, without it."""
    from torch.distributed.checkpoint import FileSystemReader

    entries = FileSystemReader(folder).read_metadata().state_dict_metadata.items()
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in entries
        if name.startswith(prefix)
    }
    read_shards(tensors, folder)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
