"""LoRA: a frozen encoder that learns low-rank updates of some matrices (Hu et al. 2022).

A target computes W·x + b + (alpha / rank)·up·down·dropout(x), with `down` [rank, K] drawn from
torch's global generator and `up` [N, rank] at first 0, so that nothing changes yet.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnalm.errors import InputError
from dnalm.methods import LORA_TARGETS
from dnalm.model.adapters import AdaptedLinear
from dnalm.model.encoder import Encoder
from dnalm.model.linear import Linear
from dnalm.suggestions import check_choice


class LowRank(AdaptedLinear):
    """W·x + b + (alpha / rank)·up·down·dropout(x); stacked, with the matrices of each fold."""

    def __init__(self, linear: Linear, rank: int, alpha: float, dropout: float) -> None:
        super().__init__(linear)
        device = linear.weight.device
        self.down = nn.Parameter(torch.empty(rank, linear.in_features, device=device))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, device=device))
        self.factor = alpha / rank
        self.dropout = nn.Dropout(dropout)
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # the draw of torch's linear layers

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self._update(self.dropout(x)) * self.factor

    def _update(self, x: Tensor) -> Tensor:
        if self.down.ndim == 2:
            return functional.linear(functional.linear(x, self.down), self.up)
        by_fold = x.reshape(len(self.down), -1, x.shape[-1])
        narrow = torch.bmm(by_fold, self.down.transpose(1, 2))
        return torch.bmm(narrow, self.up.transpose(1, 2)).view(*x.shape[:-1], -1)

    def merge(self) -> tuple[Tensor, Tensor | None]:
        return self.weight + self.factor * (self.up @ self.down), self.bias


def add_lora(
    encoder: Encoder, *, rank: int, alpha: float, dropout: float, targets: Sequence[str]
) -> list[nn.Parameter]:
    """Add low-rank updates to a frozen encoder in place and return them: down and up of each.

    `targets` are names of `dnalm.methods.LORA_TARGETS`; each layer N x K of every block gains
    rank·(N + K) numbers. Raises InputError for a target that does not exist, and for none.
    """
    if not targets:
        raise InputError(f"lora: targets are empty; name some of {', '.join(LORA_TARGETS)}.")
    for target in targets:
        check_choice("lora: targets", target, LORA_TARGETS)
    for block in encoder.blocks:
        for target in targets:
            path = LORA_TARGETS[target]
            adapted = LowRank(block.get_submodule(path), rank, alpha, dropout)
            adapted.train(block.training)
            block.set_submodule(path, adapted)
    return [values for values in encoder.parameters() if values.requires_grad]
