"""On how many GPUs a job has computed, and for how long where it was stopped and went on.

It is for the report, in a JSON file beside the job's log. Snakemake's benchmark files hold the time
of a job's last attempt alone, and what a rule asks for is no evidence: the same rules run without a
GPU. Processes of torch know; torch itself is not loaded for it.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional

from dnalm.errors import InputError
from dnalm.files import read_json, write_json
from dnalm.jobs.progress import LINE_SECONDS, repeating

ENDING = ".devices.json"
_processes = 1  # of this job, each on a GPU of its own where there is one
_devices: set[str] = set()  # on which processes that this one has started compute
_current: Optional["_Use"] = None  # of the job that this process is


def note_processes(count: int) -> None:
    """Remember that this job consists of `count` processes that compute alike."""
    global _processes
    _processes = count


def note_devices(devices: Iterable[object]) -> None:
    """Remember that processes of this job, which it starts itself, compute on these devices."""
    _devices.update(map(str, devices))


def use_file(log_path: str | Path) -> Path:
    """Return the file in which the job with this log says what it has computed on."""
    return Path(log_path).with_suffix(ENDING)


@contextmanager
def recorded_use(log_path: str | Path) -> Iterator[None]:
    """Write, at once, every minute and in the end, what the job in this block computes on.

    What attempts before it have taken that did not come to their end is kept beside it; of a job
    that had ended nothing is. No job fails for it: on a disk without room its GPUs are not known.
    """
    global _current
    outer, _current = _current, _Use(log_path)
    use = _current
    try:
        with repeating(use.save_for_a_minute):
            yield
    except BaseException:
        use.save()
        raise
    else:
        use.save(ended=True)
    finally:
        _current = outer


def save_use() -> None:
    """Write what this job has computed on by now: it is about to be killed and says no more."""
    if _current is not None:
        _current.save()


class _Use:
    """What one attempt of a job computes on, and what those before it did that did not end."""

    def __init__(self, log_path: str | Path) -> None:
        self._path = None if str(log_path) == os.devnull else use_file(log_path)
        self._begun = time.monotonic()
        self._saving = threading.Lock()
        self._earlier = _find_earlier(self._path) if self._path else []

    def save(self, *, ended: bool = False) -> None:
        if self._path is None:
            return
        # A full disk; torch half imported by another thread, or with a device that has failed.
        with self._saving, suppress(OSError, InputError, AttributeError, RuntimeError):
            seconds = round(time.monotonic() - self._begun, 1)
            facts = {"ended": ended, "seconds": seconds, **describe_use(sys.modules)}
            write_json(self._path, facts | {"earlier": self._earlier})

    def save_for_a_minute(self) -> float:
        self.save()
        return LINE_SECONDS


def describe_use(modules: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"gpus": those of all processes of this job, "names": of those it has seen itself}.

    `modules` are the loaded ones. A GPU counts from the first tensor on it; an instance of MIG,
    of which torch shows a process one, is a GPU.
    """
    torch = modules.get("torch")
    names = []
    if torch is not None and torch.cuda.is_initialized():
        names = [
            torch.cuda.get_device_name(number)
            for number in range(torch.cuda.device_count())
            if torch.cuda.max_memory_allocated(number) > 0 or f"cuda:{number}" in _devices
        ]
    elsewhere = sum(device.startswith("cuda") for device in _devices)
    return {"gpus": max(len(names), elsewhere) * _processes, "names": names}


def read_gpus(log_path: str | Path) -> float:
    """Return the GPUs of the job with this log, nan where it has not said them."""
    found = _read(use_file(log_path))
    return float(found["gpus"]) if found and found.get("ended", True) else float("nan")


def read_earlier(log_path: str | Path) -> tuple[float, float]:
    """Return the seconds, and those times GPUs, of attempts before the one that ended."""
    attempts = (_read(use_file(log_path)) or {}).get("earlier", [])
    seconds = sum(float(one["seconds"]) for one in attempts)
    return seconds, sum(float(one["seconds"] * one["gpus"]) for one in attempts)


def _find_earlier(path: Path) -> list[dict[str, float]]:
    """Return the attempts of a job that has not ended since, the last of them included."""
    try:
        found = _read(path)
    except InputError:
        found = None
    if not found or found.get("ended", True):
        return []
    return [*found["earlier"], {"seconds": found["seconds"], "gpus": found["gpus"]}]


def _read(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None
