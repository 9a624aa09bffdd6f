"""On how many GPUs a job has computed, for the report: a JSON file beside the job's log.

Snakemake's benchmark files hold the time of a job, and what a rule asks for is no evidence: the
same rules run without a GPU. Processes of torch know; torch itself is not loaded for it.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dnalm.files import read_json, write_json

ENDING = ".devices.json"
_processes = 1  # of this job, each on a GPU of its own where there is one


def note_processes(count: int) -> None:
    """Remember that this job consists of `count` processes that compute alike."""
    global _processes
    _processes = count


def use_file(log_path: str | Path) -> Path:
    """Return the file in which the job with this log says what it has computed on."""
    return Path(log_path).with_suffix(ENDING)


def forget_use(log_path: str | Path) -> None:
    """Remove what an earlier attempt of a job has said."""
    if not _is_null(log_path):
        use_file(log_path).unlink(missing_ok=True)


def record_use(log_path: str | Path) -> None:
    """Write on how many GPUs this job has computed: 0 where it took none.

    No job fails for it: on a disk without room its GPUs are not known.
    """
    if not _is_null(log_path):
        with suppress(OSError):
            write_json(use_file(log_path), describe_use(sys.modules))


def describe_use(modules: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"gpus": those of all processes of this job, "names": of this process's}.

    `modules` are the loaded ones. A GPU counts from the first tensor on it.
    """
    torch = modules.get("torch")
    names = []
    if torch is not None and torch.cuda.is_initialized():
        names = [
            torch.cuda.get_device_name(number)
            for number in range(torch.cuda.device_count())
            if torch.cuda.max_memory_allocated(number) > 0
        ]
    return {"gpus": len(names) * _processes, "names": names}


def read_gpus(log_path: str | Path) -> float:
    """Return the GPUs of the job with this log, nan where it has not said them."""
    path = use_file(log_path)
    return float(read_json(path)["gpus"]) if path.exists() else float("nan")


def _is_null(log_path: str | Path) -> bool:
    return str(log_path) == os.devnull
