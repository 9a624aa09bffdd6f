"""CPU and CUDA devices that torch sees: precision, transfers, out-of-memory errors."""

import logging
import resource
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import numpy as np
import torch

from dnalm.errors import InputError

Precision = Literal["auto", "float32", "tf32", "bf16"]
# CUDA compute capability of Ampere, the first with tensor cores for bf16 and for TF32.
TENSOR_CORES = (8, 0)
# Results of a GPU that are fetched at once: the host waits for it once in so many batches.
FETCHED_AT_ONCE = 16
# Of allocation failures for which torch has no exception class of its own.
OUT_OF_MEMORY_MESSAGES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")

T = TypeVar("T")
log = logging.getLogger(__name__)


def best_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def find_device(name: str, key: str) -> str:
    """Return the device, cpu or cuda, of a setting `key` with the value `name` (cpu, cuda or auto).

    `auto` is cuda where there is a device of it. Raises InputError where cuda is set and there is
    none.
    """
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise InputError(
            f"{key} is 'cuda', but torch sees no CUDA device here: "
            "set it to cpu, or run this job where there is one."
        )
    return ("cuda" if present else "cpu") if name == "auto" else name


def device_of(module: torch.nn.Module) -> torch.device:
    """Return the device of a module, all of whose parameters are on one."""
    return next(module.parameters()).device


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the main memory on `device`, without waiting for what is queued there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetch(results: Iterable[tuple[T, torch.Tensor]]) -> Iterator[tuple[T, np.ndarray]]:
    """Yield (key, tensor) pairs in their order with the tensors as arrays in main memory.

    Those of a GPU are held there for a while and fetched together: a host that waited for each
    would leave the GPU without work in between.
    """
    held = []
    for key, tensor in results:
        held.append((key, tensor))
        if tensor.device.type == "cpu" or len(held) == FETCHED_AT_ONCE:
            yield from _fetch_all(held)
            held = []
    yield from _fetch_all(held)


def _fetch_all(held: Sequence[tuple[T, torch.Tensor]]) -> Iterator[tuple[T, np.ndarray]]:
    return ((key, tensor.cpu().numpy()) for key, tensor in held)


def find_precision(
    name: str, key: str, devices: Sequence[str | torch.device], best: str = "bf16"
) -> str:
    """Return the precision, float32, tf32 or bf16, of a setting `key` with the value `name`.

    `auto` is `best` where all `devices` compute in it natively, as NVIDIA's GPUs do from Ampere on,
    else float32, what a CPU always takes. tf32 (factors of float32 products rounded to 10 bits) is
    float32 where there is none. Raises InputError for bf16 on a GPU that only emulates it.
    """
    capabilities = {}
    for device in map(torch.device, devices):
        on_gpu = device.type == "cuda"
        label = f"{torch.cuda.get_device_name(device)} ({device})" if on_gpu else "CPU"
        capabilities[label] = torch.cuda.get_device_capability(device) if on_gpu else None
    return settle_precision(name, key, capabilities, best)


def settle_precision(
    name: str, key: str, capabilities: Mapping[str, tuple[int, int] | None], best: str
) -> str:
    """Return what `find_precision` does, of CUDA compute capabilities by device; None: a CPU."""
    lacking = [device for device, found in capabilities.items() if (found or (0, 0)) < TENSOR_CORES]
    older = [device for device in lacking if capabilities[device] is not None]
    if name == "auto":
        if older and len(lacking) < len(capabilities):
            log.warning(
                "%s lacks the tensor cores for %s that others of these GPUs have: all compute in"
                " float32.",
                *(", ".join(older), best),
            )
        return "float32" if lacking else best
    if name == "bf16" and older:
        raise InputError(
            f"{key} is 'bf16', which {older[0]} can only emulate: set it to auto or float32, or "
            "use a GPU of compute capability 8.0 or later."
        )
    return "float32" if name == "tf32" and lacking else name


@contextmanager
def compute_in(precision: str, device: torch.device) -> Iterator[None]:
    """Multiply in float32, tf32 or bf16 on `device` within the block, whatever is set around it.

    With bf16 torch chooses the operations (autocast); what stays in float32 is not rounded.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def visible_devices() -> list[str]:
    """Return all visible CUDA devices by name, or the CPU where there is none."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception is an out-of-memory error, of the CPU or of a GPU."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(message in str(error) for message in OUT_OF_MEMORY_MESSAGES)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes this process has held so far, on its GPU or else in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` of a GPU count from here on; that of a process counts from its start."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
