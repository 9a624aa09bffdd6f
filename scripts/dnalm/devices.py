"""Devices that torch sees, and errors that say that their memory ran out."""

import torch

from dnalm.errors import InputError

# What torch says where an allocation fails and it has no class of its own for it.
COMPLAINTS = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")


def best_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def find_device(name: str, key: str) -> str:
    """Return the device that the setting `key` asks for: cpu, cuda, or auto, the better of both.

    Raises InputError where cuda is asked for and there is none.
    """
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise InputError(
            f"{key} is 'cuda', but torch sees no CUDA device here: "
            "set it to cpu, or run this job where there is one."
        )
    return ("cuda" if present else "cpu") if name == "auto" else name


def visible_devices() -> list[str]:
    """Return all visible CUDA devices by name, or the CPU where there is none."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on whatever device."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(complaint in str(error) for complaint in COMPLAINTS)
