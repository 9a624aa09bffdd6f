"""CPU and CUDA devices that torch sees, and recognition of out-of-memory errors."""

import torch

from dnalm.errors import InputError

# Of allocation failures for which torch has no exception class of its own.
OUT_OF_MEMORY_MESSAGES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")


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


def visible_devices() -> list[str]:
    """Return all visible CUDA devices by name, or the CPU where there is none."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception is an out-of-memory error, of the CPU or of a GPU."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(message in str(error) for message in OUT_OF_MEMORY_MESSAGES)
