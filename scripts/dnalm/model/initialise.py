"""Weight initialisation of an encoder."""

import math

import torch
from torch import nn

from dnalm.model.encoder import Encoder

TABLES = ("tokens.weight", "positions.weight")
NORMAL_SD = 0.02


def initialise(encoder: Encoder, seed: int) -> None:
    """Initialise every weight in place; the same seed gives the same weights on every device.

    Other versions of torch may draw others: the truncated normal of 2.11 is not that of 2.13.
    Source of `haiku`: the authors' code, in which attention weights and biases are uniform within
    ±√(6/fan_in), the other matrices normal of SD 1/√fan_in and the tables normal of SD 1, both
    truncated at ±2 SD, the other biases 0. `normal` is SD 0.02 and biases 0. LayerNorms start at 1
    and 0.
    """
    haiku = encoder.config.initialisation == "haiku"
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in encoder.named_parameters():
        fan_in = parameter.shape[-1]  # of a bias: its own length, as in the authors' code
        drawn = torch.zeros(parameter.shape)
        if "norm." in name:
            drawn.fill_(float(name.endswith("weight")))
        elif haiku and ".attention." in name:
            limit = math.sqrt(6.0 / fan_in)
            drawn.uniform_(-limit, limit, generator=generator)
        elif name.endswith("weight") and haiku:
            deviation = 1.0 if name in TABLES else 1.0 / math.sqrt(fan_in)
            bounds = {"a": -2.0 * deviation, "b": 2.0 * deviation}
            nn.init.trunc_normal_(drawn, std=deviation, **bounds, generator=generator)
        elif name.endswith("weight"):
            drawn.normal_(0.0, NORMAL_SD, generator=generator)
        with torch.no_grad():
            parameter.copy_(drawn)
