"""LoRA: a frozen encoder that learns low-rank updates of some matrices (Hu et al. 2022).

A target computes W·x + b + (alpha / rank)·up·down·dropout(x), with `down` [rank, K] drawn from
torch's global generator and `up` [N, rank] at first 0, so that nothing changes yet.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnalm.errors import InputError
from dnalm.methods import LORA_TARGETS
from dnalm.model.adapters import AdaptedLinear, list_layers, name_in_peft
from dnalm.model.linear import Linear
from dnalm.model.weights import BLOCK_NAMES
from dnalm.suggestions import check_choice

# Our names of the two matrices, and those of `peft`.
PEFT_MATRICES = {"down": "lora_A", "up": "lora_B"}


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
    encoder: nn.Module, *, rank: int, alpha: float, dropout: float, targets: Sequence[str]
) -> list[nn.Parameter]:
    """Add low-rank updates to a frozen encoder in place and return them: down and up of each.

    `targets` are names of `dnalm.methods.LORA_TARGETS`; each layer N x K of every block gains
    rank·(N + K) numbers. Raises InputError for a target that does not exist, and for none.
    """
    if not targets:
        raise InputError(f"lora: targets are empty; name some of {', '.join(LORA_TARGETS)}.")
    for target in targets:
        check_choice("lora: targets", target, LORA_TARGETS)
    for path in list_layers(encoder, targets):
        layer = encoder.get_submodule(path)
        adapted = LowRank(layer, rank, alpha, dropout).train(layer.training)
        encoder.set_submodule(path, adapted)
    return [values for values in encoder.parameters() if values.requires_grad]


def lora_in_peft(
    state: Mapping[str, Tensor],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str],
    linear: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the adapter_config.json and the tensors of `peft` for the matrices of `adapter_state`.

    They are for `EsmModel` and what has its blocks, gated feed-forwards too; with `linear`, the
    names of linear layers by those of `LORA_TARGETS`, for the module that has these.
    """
    modules = [re.escape(BLOCK_NAMES[LORA_TARGETS[target]]) for target in targets]
    settings = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        # From the block's number on: attention.output.dense ends as output.dense does.
        "target_modules": rf".*\.layer\.\d+\.({'|'.join(modules)})"
        if linear is None
        else list(dict.fromkeys(path for target in targets for path in linear[target])),
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }
    tensors = {}
    for name, matrix in state.items():
        place = name_in_peft(name, foreign=linear is not None)
        tensors[f"{place}.{PEFT_MATRICES[name.rpartition('.')[2]]}.weight"] = matrix
    return settings, tensors
