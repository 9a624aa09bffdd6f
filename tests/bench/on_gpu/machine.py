"""The device under test: timing by its own clock, memory, and what it is.

Shape letters: B sequences, T tokens.
"""

import gc
import importlib.metadata
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

import torch

from dnalm.model.config import EncoderConfig
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import Layout
from dnalm.training.hardware import find_peak
from dnalm.training.memory import Load, estimate_memory
from dnalm.training.preflight import LIBRARY, hash_library

PRECISION, KIND = "bf16", torch.bfloat16
WARM_UPS = 3
MIN_REPEATS, MAX_REPEATS = 3, 10
MAX_SECONDS = 4.0  # of the timed calls of one thing
# Of one step: enough rows for products at full speed. More only take longer to measure.
MAX_TOKENS = 65_536
TINY_SEQUENCES = 4
# Of the memory that is free; what is not compiled keeps more than the estimate, which knows our
# compiled blocks, and the peer makes logits of all tokens.
USABLE_SHARE, ESTIMATE_FACTOR = 0.9, 1.25
LOGITS_BYTES = 2 + 3 * 4
SYNCHRONIZED = "called a synchronizing CUDA operation"  # what torch warns with
PACKAGES = ("torch", "triton", "numpy", "transformers", "peft", "numba", "scikit-learn", "pandas")
CLOCKS = ("clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "temperature.gpu")


class Machine:
    """Measures on one device; `peak` is that of its data sheet in FLOP/s, None if unknown."""

    def __init__(self, device: str, *, tiny: bool) -> None:
        self.device, self.tiny = torch.device(device), tiny
        if self.device.type == "cuda":
            self.device = torch.device("cuda", 0)
            torch.cuda.set_device(self.device)
        self.on_gpu = self.device.type == "cuda"
        self.group = Group(None)
        self.group.device = self.device
        self.peak = find_peak(self.device, PRECISION)[1]
        self.ceilings: dict[Any, Any] = {}  # what `ceilings` has measured, for the other parts

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def time(self, function: Callable[[], object]) -> float:
        """Return the median seconds of one call, by events on the device.

        Calls follow each other without a wait, as steps of training do; a first one warms up.
        """
        for _ in range(1 if self.tiny else WARM_UPS - 1):
            function()
        self.wait()
        begun = time.perf_counter()
        function()
        self.wait()
        took = time.perf_counter() - begun
        repeats = max(MIN_REPEATS, min(MAX_REPEATS, int(MAX_SECONDS / max(took, 1e-6))))
        if not self.on_gpu:
            seconds = [took]
            for _ in range(1 if self.tiny else repeats):
                begun = time.perf_counter()
                function()
                seconds.append(time.perf_counter() - begun)
            return statistics.median(seconds)
        events = [
            tuple(torch.cuda.Event(enable_timing=True) for _ in range(2)) for _ in range(repeats)
        ]
        for start, end in events:
            start.record()
            function()
            end.record()
        self.wait()
        return statistics.median(start.elapsed_time(end) / 1e3 for start, end in events)

    def share(self, flops_per_second: float | None) -> float | None:
        known = self.peak is not None and flops_per_second is not None
        return flops_per_second / self.peak if known else None

    def tidy(self) -> None:
        """Give back all memory and compiled code that nothing refers to any more."""
        if "torch._dynamo" in sys.modules:  # it takes seconds to load
            torch._dynamo.reset()
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    def reset_peak(self) -> None:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gigabytes(self) -> float | None:
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_gpu else None

    def choose_sequences(self, config: EncoderConfig, selected: int) -> int:
        """Return B of a training step: a power of two that the free memory should hold."""
        if self.tiny:
            return TINY_SEQUENCES
        if self.on_gpu:
            free, _ = torch.cuda.mem_get_info(self.device)
        else:
            free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        sequences = 1 << ((MAX_TOKENS // config.max_tokens).bit_length() - 1)
        while sequences > 1 and self._bytes(config, sequences, selected) > USABLE_SHARE * free:
            sequences //= 2
        return sequences

    @staticmethod
    def _bytes(config: EncoderConfig, sequences: int, selected: int) -> float:
        tokens = config.max_tokens
        load = Load(sequences=sequences, tokens=tokens, selected=selected, precision=PRECISION)
        ours = estimate_memory(
            config, Layout(shards=1, reshard=False, activation_checkpointing=False), load
        )
        everywhere = LOGITS_BYTES * sequences * tokens * config.vocabulary_size
        return ESTIMATE_FACTOR * ours.total + everywhere

    def count_syncs(self, function: Callable[[], object]) -> int | None:
        """Return how often the host waits for the device within one call; None on a CPU."""
        if not self.on_gpu:
            return None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                function()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        self.wait()
        return sum(SYNCHRONIZED in str(warning.message) for warning in caught)

    def describe(self) -> dict[str, Any]:
        """Return the device, the versions of what runs on it, and the library's own."""
        versions = {}
        for name in PACKAGES:
            with suppress(importlib.metadata.PackageNotFoundError):
                versions[name] = importlib.metadata.version(name)
        facts = {
            "device": torch.cuda.get_device_name(self.device) if self.on_gpu else "CPU",
            "python": platform.python_version(),
            "versions": versions,
            "cuda": torch.version.cuda,
            "cores": len(os.sched_getaffinity(0)),
            "library": hash_library(LIBRARY),
            "commit": _ask("git", "-C", str(LIBRARY), "rev-parse", "HEAD"),
        }
        if self.on_gpu:
            properties = torch.cuda.get_device_properties(self.device)
            facts |= {
                "driver": _query("driver_version"),
                "memory_bytes": properties.total_memory,
                "multiprocessors": properties.multi_processor_count,
                "clocks": self.clocks(),
            }
        return facts

    def clocks(self) -> dict[str, str] | None:
        """Return clocks, power limit and temperature as `nvidia-smi` reads them now."""
        answer = _query(",".join(CLOCKS)) if self.on_gpu else None
        if answer is None:
            return None
        return dict(zip(CLOCKS, map(str.strip, answer.split(",")), strict=False))


class Heard(logging.Handler):
    """What the library warned of while it was listened to."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def listening() -> Iterator[Heard]:
    heard, logger = Heard(), logging.getLogger("dnalm")
    logger.addHandler(heard)
    try:
        yield heard
    finally:
        logger.removeHandler(heard)


def find_absent(*names: str) -> str:
    """Return a sentence on those of some packages that are not installed, empty if all are."""
    absent = [name for name in names if find_spec(name) is None]
    return f"not run: {', '.join(absent)} not installed" if absent else ""


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _query(what: str) -> str | None:
    answer = _ask("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader", "--id=0")
    return answer and answer.splitlines()[0].strip()


def _ask(*command: str) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip() or None
    return None
