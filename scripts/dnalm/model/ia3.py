"""IA3: a frozen encoder that learns three vectors per block (Liu et al. 2022).

l_k and l_v scale the output of the key and value projections, bias included and, in v2, before the
rotation; l_ff scales the input of the second feed-forward matrix, in v2 after the gate product.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dnalm.model.adapters import PEFT_PREFIX, AdaptedLinear, list_layers, name_in_peft, of_rows
from dnalm.model.linear import Linear

# Modules of `transformers`' ESM, as regular expressions of `peft`. Its attention has an
# output.dense too, which is none of them.
PEFT_FEED_FORWARD = r".*\.layer\.\d+\.output\.dense"
PEFT_TARGETS = rf".*\.attention\.self\.(key|value)|{PEFT_FEED_FORWARD}"


class Scaled(AdaptedLinear):
    """A linear layer with a vector `scale`, at first all 1; stacked, one for each fold."""

    def __init__(self, linear: Linear, length: int) -> None:
        super().__init__(linear)
        self.scale = nn.Parameter(torch.ones(length, device=linear.weight.device))


class ScaledOutput(Scaled):
    """l ⊙ (W·x + b)."""

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear, linear.out_features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * of_rows(self.scale, x)

    def merge(self) -> tuple[Tensor, Tensor | None]:
        bias = None if self.bias is None else self.bias * self.scale
        return self.weight * self.scale.unsqueeze(1), bias


class ScaledInput(Scaled):
    """W·(l ⊙ x) + b."""

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear, linear.in_features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * of_rows(self.scale, x))

    def merge(self) -> tuple[Tensor, Tensor | None]:
        return self.weight * self.scale, self.bias


def add_ia3(encoder: nn.Module) -> list[nn.Parameter]:
    """Add the vectors to a frozen encoder in place and return them: l_k, l_v, l_ff of each block.

    They are layers · (2·width + ffn_width) numbers, all 1, so the outputs do not change yet; of a
    fused projection of a model that is not ours all outputs are scaled, those of queries too. The
    frozen parameters keep their names.
    """
    for path in list_layers(encoder, ("key", "value")):
        encoder.set_submodule(path, ScaledOutput(encoder.get_submodule(path)))
    for path in list_layers(encoder, ("ffn_output",)):
        encoder.set_submodule(path, ScaledInput(encoder.get_submodule(path)))
    return [values for values in encoder.parameters() if values.requires_grad]


def ia3_in_peft(
    state: Mapping[str, Tensor], linear: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the adapter_config.json and the tensors of `peft` for the vectors of `adapter_state`.

    They are for `EsmModel` and what has its blocks, gated feed-forwards too; with `linear`, the
    names of linear layers by those of `LORA_TARGETS`, for the module that has these.
    """
    targets, feed_forward = PEFT_TARGETS, PEFT_FEED_FORWARD
    if linear is not None:
        feed_forward = list(linear["ffn_output"])
        targets = list(dict.fromkeys([*linear["key"], *linear["value"], *feed_forward]))
    settings = {
        "peft_type": "IA3",
        "target_modules": targets,
        "feedforward_modules": feed_forward,
        "fan_in_fan_out": False,
        "init_ia3_weights": True,
        "modules_to_save": None,
    }
    tensors = {}
    for name, scale in state.items():
        place = name_in_peft(name, foreign=linear is not None)
        scales_input = (
            name.endswith("feed_forward.output.scale")
            if linear is None
            else place.removeprefix(PEFT_PREFIX) in feed_forward
        )
        # A row of the inputs of a feed-forward's second matrix, a column of outputs else.
        tensors[f"{place}.ia3_l"] = scale.reshape((1, -1) if scales_input else (-1, 1))
    return settings, tensors
