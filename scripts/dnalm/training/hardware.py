"""What the machine under a run can do and how much of it is used."""

import resource
import sys

import torch

from dnalm.model.encoder import Encoder

# Dense matrix products per second as the makers state them, without sparsity.
PEAKS = {
    ("A100", "bf16"): 312e12,
    ("A100", "float32"): 19.5e12,
    ("H100", "bf16"): 989e12,
    ("H100", "float32"): 67e12,
    ("H200", "bf16"): 989e12,
    ("H200", "float32"): 67e12,
    ("L40S", "bf16"): 362e12,
    ("V100", "float32"): 15.7e12,
}


def count_flops(encoder: Encoder, tokens: int, selected: int) -> float:
    """Return the floating-point operations of one sequence, forward and backward.

    6 per weight of the blocks and token, 6 per weight of the head and selected token, 12 · width
    per layer and pair of tokens; tables and recomputation count nothing.
    """
    blocks = sum(parameter.numel() for parameter in encoder.blocks.parameters())
    head = sum(parameter.numel() for parameter in encoder.head.parameters())
    config = encoder.config
    attention = 12 * config.layers * config.width * tokens
    return tokens * (6 * blocks + attention) + selected * 6 * head


def describe_use(
    flops_per_second: float, device: torch.device, precision: str, size: int
) -> dict[str, float | str] | None:
    """Return the share of the peak that is used and which peak it is; None where none is known."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for (model, kind), peak in PEAKS.items():
            if model in name and kind == precision:
                stated = f"{size} × {model} {precision}, {peak / 1e12:g} TFLOP/s each"
                return {"value": flops_per_second / (peak * size), "denominator": stated}
    return None


def peak_memory(device: torch.device) -> int:
    """Return the most bytes this process has held so far, on its GPU or else in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
