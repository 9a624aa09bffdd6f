"""Asynchronous writer of checkpoints."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from dnalm.errors import InputError, NoSpaceError
from dnalm.files import follow_umask, sha256_of
from dnalm.model.weights import published_name, save_tensors
from dnalm.parallel.distributed import Group
from dnalm.training.checkpoints import (
    MODEL,
    MODEL_PREFIX,
    OPTIMIZER,
    OPTIMIZER_PREFIX,
    PROGRESS,
    SHARDS,
    TOTALS,
    checkpoint_path,
    list_checkpoints,
)

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Copies the state of training and writes it to `folder` in the background, one at a time.

    A checkpoint gets its name when all processes have written and everything is on the disk; then
    all but the newest `keep_last` are removed. Every process calls `save` and `wait` alike.
    """

    def __init__(self, folder: Path, group: Group, *, keep_last: int, sharded: bool) -> None:
        self._folder, self._group, self._keep_last = folder, group, keep_last
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future | None = None
        self._step = 0
        # Of its own: training uses the other group for collectives at the same time.
        self._processes = torch.distributed.new_group(backend="gloo") if sharded else None

    def save(
        self,
        *,
        weights: Mapping[str, Tensor],
        moments: Mapping[str, Tensor],
        totals: Tensor,
        progress: dict[str, Any],
        saved: Callable[[float], None],
    ) -> None:
        """Begin to write `folder`/step-…, named by progress["step"].

        `weights` and `moments` go by the encoder's own names, `totals` are sums that go into the
        next history row, `saved` is called with the seconds it took. Waits for the last one first,
        see `wait`.
        """
        self.wait()
        begun, self._step = time.monotonic(), progress["step"]
        named = {published_name(name): tensor.detach() for name, tensor in weights.items()}
        if self._processes is not None:
            path = Path(self._group.from_first(lambda: str(self._make_temporary())))
            tensors = {f"{MODEL_PREFIX}{name}": tensor for name, tensor in named.items()}
            tensors |= {f"{OPTIMIZER_PREFIX}{name}": tensor for name, tensor in moments.items()}
            tensors[TOTALS] = totals
            self._pending = written = write_shards(tensors, path / SHARDS, self._processes)
            write = written.result
        elif self._group.first:
            path = self._make_temporary()
            files = {MODEL: _copy(named), OPTIMIZER: _copy({**moments, TOTALS: totals})}
            metadata = {MODEL: {"step": str(self._step)}, OPTIMIZER: {}}

            def write() -> None:
                for name, tensors in files.items():
                    save_tensors(tensors, path / name, metadata[name])

        if self._group.first:
            self._pending = self._pool.submit(
                self._finish, path, write, dict(progress), saved, begun
            )

    def wait(self) -> None:
        """Return when the last checkpoint is there; `InputError` in all processes if it failed."""
        if self._pending is not None:
            wait([self._pending])
        self._group.from_first(self._complain)
        self._pending = None

    @property
    def has_failed(self) -> bool:
        """Whether this process already knows that the last checkpoint will not be there."""
        pending = self._pending
        return pending is not None and pending.done() and pending.exception() is not None

    def close(self) -> None:
        """Return when nothing is written any more."""
        if self._pending is not None:
            wait([self._pending])
        self._pool.shutdown()

    def _make_temporary(self) -> Path:
        path = self._folder / f".step-{self._step:08d}.{os.getpid()}"
        path.mkdir(parents=True)
        return path

    def _finish(
        self,
        temporary: Path,
        write: Callable[[], Any],
        progress: dict[str, Any],
        saved: Callable[[float], None],
        begun: float,
    ) -> None:
        """Complete in the first process what `write` leaves in `temporary`."""
        path = checkpoint_path(self._folder, self._step)
        try:
            write()
            follow_umask(temporary)
            files = [file for file in sorted(temporary.rglob("*")) if file.is_file()]
            names = [str(file.relative_to(temporary)) for file in files]
            progress["bytes"] = {n: f.stat().st_size for n, f in zip(names, files, strict=True)}
            progress["sha256"] = {n: sha256_of(f) for n, f in zip(names, files, strict=True)}
            (temporary / PROGRESS).write_text(
                json.dumps(progress, indent=2) + "\n", encoding="utf-8"
            )
            for place in (
                *files,
                temporary / PROGRESS,
                *{file.parent for file in files},
                temporary,
            ):
                _sync(place)
            if path.exists():  # left incomplete by a crash: `find_checkpoint` passed it over
                shutil.rmtree(path)
            os.replace(temporary, path)
            _sync(self._folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in list_checkpoints(self._folder)[: -self._keep_last]:
            if old != path:
                shutil.rmtree(old)
        saved(time.monotonic() - begun)
        logger.info("Saved %s in %.1f s.", path, time.monotonic() - begun)

    def _complain(self) -> None:
        """Raise the failure of the last checkpoint, if it failed."""
        failure = self._pending.exception() if self._pending is not None else None
        if failure is None:
            return
        reason = _find_reason(failure)
        if reason is None:
            raise failure
        kept = list_checkpoints(self._folder)
        left = f"the checkpoint {kept[-1].name} is intact" if kept else "there is no older one"
        raise InputError(
            f"The checkpoint of step {self._step} cannot be written to {self._folder} ({reason}); "
            f"make room or lower operation.keep_last, then run again: {left}."
        ) from failure


def _find_reason(failure: BaseException) -> str | None:
    """Return the disk's error message, None for another failure."""
    for error, _ in getattr(failure, "failures", {}).values():  # torch's own, of all processes
        return str(error).splitlines()[0]
    if isinstance(failure, NoSpaceError):
        return str(failure.__cause__)
    return str(failure) if isinstance(failure, OSError | SafetensorError) else None


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies in main memory that the next step does not touch."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _sync(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
