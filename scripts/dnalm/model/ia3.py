"""IA3: a frozen encoder that learns three vectors per block (Liu et al. 2022).

l_k and l_v scale the output of the key and value projections, bias included and, in v2, before the
rotation; l_ff scales the input of the second feed-forward matrix, in v2 after the gate product.
"""

import torch
from torch import Tensor, nn

from dnalm.model.adapters import AdaptedLinear
from dnalm.model.encoder import Encoder
from dnalm.model.linear import Linear


class Scaled(AdaptedLinear):
    """A linear layer with a vector `scale`, at first all 1."""

    def __init__(self, linear: Linear, length: int) -> None:
        super().__init__(linear)
        self.scale = nn.Parameter(torch.ones(length, device=linear.weight.device))


class ScaledOutput(Scaled):
    """l ⊙ (W·x + b)."""

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear, linear.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale

    def merge(self) -> tuple[Tensor, Tensor | None]:
        bias = None if self.bias is None else self.bias * self.scale
        return self.weight * self.scale.unsqueeze(1), bias


class ScaledInput(Scaled):
    """W·(l ⊙ x) + b."""

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear, linear.in_features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.scale)

    def merge(self) -> tuple[Tensor, Tensor | None]:
        return self.weight * self.scale, self.bias


def add_ia3(encoder: Encoder) -> list[nn.Parameter]:
    """Add the vectors to a frozen encoder in place and return them: l_k, l_v, l_ff of each block.

    They are layers · (2·width + ffn_width) numbers, all 1, so the outputs do not change yet. The
    frozen parameters keep their names.
    """
    for block in encoder.blocks:
        block.attention.key = ScaledOutput(block.attention.key)
        block.attention.value = ScaledOutput(block.attention.value)
        block.feed_forward.output = ScaledInput(block.feed_forward.output)
    return [values for values in encoder.parameters() if values.requires_grad]
