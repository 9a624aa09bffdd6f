"""Rotary positions: each pair of numbers of a query or key is turned by an angle of its position.

Shape letters: B batch, T tokens, H heads, h width of a head.
"""

import torch
from torch import Tensor

ROTARY_BASE = 10_000.0


def rotary_table(tokens: int, head_width: int, device: torch.device) -> Tensor:
    """Return cosines and sines float32[2, T, head_width / 2] of position · base^(−2i/head_width).

    Positions count from 0 at `<cls>`. Made anew in each pass: it costs next to nothing, and a
    module without buffers can be built on the meta device.
    """
    exponents = torch.arange(0, head_width, 2, device=device, dtype=torch.float32) / head_width
    positions = torch.arange(tokens, device=device, dtype=torch.float32)
    angles = positions[:, None] / ROTARY_BASE**exponents
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate x [B, H, T, h] by a table [2, T, h/2] or [2, B, 1, T, h/2]: i pairs with i + h/2."""
    cosine, sine = table
    first, second = x.chunk(2, dim=-1)
    parts = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat(parts, dim=-1).type_as(x)
