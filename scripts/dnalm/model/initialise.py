"""The first weights of an encoder, drawn from a seed."""

import math

import torch
from torch import Generator, Tensor, nn

from dnalm.model.encoder import Encoder

TABLES = ("tokens.weight", "positions.weight")
NORMAL_DEVIATION = 0.02


def initialise(encoder: Encoder, seed: int) -> None:
    """Draw every weight anew; the same seed gives the same weights on every device.

    `model.initialisation` names the draw: `haiku`, `normal` or `torch`. In all of them LayerNorms
    start at 1 and 0.
    """
    draw = {"haiku": _draw_haiku, "normal": _draw_normal, "torch": _draw_torch}[
        encoder.config.initialisation
    ]
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in encoder.named_parameters():
        drawn = torch.zeros(parameter.shape)
        if "norm." in name:
            drawn.fill_(float(name.endswith("weight")))
        else:
            weight = encoder.get_parameter(f"{name.rpartition('.')[0]}.weight")
            draw(drawn, name, weight.shape[-1], generator)
        with torch.no_grad():
            parameter.copy_(drawn)


def _draw_haiku(drawn: Tensor, name: str, fan_in: int, generator: Generator) -> None:
    """Draw as the authors' code does (1.5), whose attention biases count their own length.

    Attention weights and biases are uniform within ±√(6/fan_in), the other matrices normal of SD
    1/√fan_in and the tables normal of SD 1, both cut at ±2 SD; the other biases are 0.
    """
    if ".attention." in name:
        _draw_uniform(drawn, math.sqrt(6.0 / drawn.shape[-1]), generator)
    elif name.endswith("weight"):
        deviation = 1.0 if name in TABLES else 1.0 / math.sqrt(fan_in)
        bounds = {"a": -2.0 * deviation, "b": 2.0 * deviation}
        nn.init.trunc_normal_(drawn, std=deviation, **bounds, generator=generator)


def _draw_normal(drawn: Tensor, name: str, fan_in: int, generator: Generator) -> None:
    """Draw as `transformers` does: weights normal of SD 0.02, biases 0."""
    if name.endswith("weight"):
        drawn.normal_(0.0, NORMAL_DEVIATION, generator=generator)


def _draw_torch(drawn: Tensor, name: str, fan_in: int, generator: Generator) -> None:
    """Draw as `torch.nn` does: tables normal of SD 1, all else uniform within ±1/√fan_in."""
    if name in TABLES:
        drawn.normal_(0.0, 1.0, generator=generator)
    else:
        _draw_uniform(drawn, 1.0 / math.sqrt(fan_in), generator)


def _draw_uniform(drawn: Tensor, limit: float, generator: Generator) -> None:
    drawn.uniform_(-limit, limit, generator=generator)
