"""Sharded tensor files, one per process, readable by any number of processes.

The files are those of `torch.distributed.checkpoint`. Their index `.metadata` is a pickle: read
only folders that this run wrote.
"""

import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor


def write_shards(
    tensors: Mapping[str, Tensor], folder: Path, processes: torch.distributed.ProcessGroup
) -> Future:
    """Copy `tensors` now, write them to `folder` in the background; return the future to wait for.

    Of a `DTensor` each process writes its own part, of another tensor one process all of it. All
    of `processes` have to call it, and use this group, of CPUs, for nothing else until it is done.
    """
    # Here, because the import takes longer than many a step of who does not shard.
    from torch.distributed import checkpoint

    return checkpoint.async_save(dict(tensors), checkpoint_id=folder, process_group=processes)


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
