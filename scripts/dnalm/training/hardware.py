"""Hardware of a run: peak FLOP/s and memory, and model FLOPs utilisation (MFU)."""

import os

import torch

from dnalm.devices import settle_precision
from dnalm.errors import InputError
from dnalm.jobs.gpus import GPUS
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group


def count_flops(encoder: Encoder, tokens: int, selected: int) -> float:
    """Return the model FLOPs of one sequence, forward and backward.

    6 per weight of the blocks and token, 6 per weight of the head and selected token, 12 · width
    per layer and pair of tokens; tables and recomputation count nothing (PaLM, Chowdhery et al.
    2022, appendix B). The last block computes
    keys and values of all tokens, the rest of the selected ones.
    """
    config = encoder.config
    block, head = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (encoder.blocks[-1], encoder.head)
    )
    everywhere = 2 * config.width * (config.width + 1)
    whole, pair = (config.layers - 1) * block + everywhere, 12 * config.width * tokens
    return tokens * (6 * whole + (config.layers - 1) * pair) + selected * (
        6 * (block - everywhere + head) + pair
    )


def flops_utilisation(
    flops_per_second: float, device: torch.device, precision: str, size: int
) -> dict[str, float | str] | None:
    """Return the MFU and the peak that it is a share of, None where no peak is known."""
    model, peak = find_peak(device, precision)
    if peak is None:
        return None
    stated = f"{size} × {model} {precision}, {peak / 1e12:g} TFLOP/s each"
    return {"value": flops_per_second / (peak * size), "denominator": stated}


def find_peak(device: torch.device, precision: str) -> tuple[str, float | None]:
    """Return the name of a device and its floating-point operations per second, None if unknown."""
    if device.type != "cuda":
        return "CPU", None
    name = torch.cuda.get_device_name(device)
    known = next((gpu for gpu in GPUS if gpu.mark in name), None)
    peak = known and known.find_peak(precision)
    return (known.mark, peak) if peak else (name, None)


def count_memory(group: Group) -> int:
    """Return the bytes that each process may use: of its GPU, or its part of the main memory.

    The least of all processes, which have to call it together.
    """
    if group.device.type == "cuda":
        own = torch.cuda.get_device_properties(group.device).total_memory
    else:
        own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // group.size
    return int(group.gather(torch.tensor([own])).min())


def settle_group_precision(name: str, group: Group) -> str:
    """Return the precision, float32 or bf16, that `pretrain.precision` is on a group's devices.

    Every process has to call it. Raises `InputError` where one of their GPUs cannot.
    """
    on_gpu = group.device.type == "cuda"
    own = torch.cuda.get_device_capability(group.device) if on_gpu else (0, 0)
    rows = group.gather(torch.tensor([on_gpu, *own], dtype=torch.int64)).tolist()
    capabilities = {
        f"the GPU of rank {rank}": tuple(own) if on_gpu else None
        for rank, (on_gpu, *own) in enumerate(rows)
    }
    return settle_precision(name, "pretrain.precision", capabilities, best="bf16")


def check_devices(local_ranks: list[int], devices: int) -> None:
    """Raise `InputError` when a machine has fewer GPUs than processes; 0 `devices` are no fault.

    `local_ranks` are those of all processes, each counted from 0 on its own machine.
    """
    wanted = max(local_ranks) + 1
    if 0 < devices < wanted:
        raise InputError(
            f"operation.processes asks for {wanted} processes on a machine, each with a GPU of "
            f"its own, but {devices} GPUs are visible; set it to {devices} or 'auto', or ask for "
            f"{wanted} GPUs."
        )
