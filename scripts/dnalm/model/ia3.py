"""IA3: a frozen encoder that learns three vectors per block (Liu et al. 2022).

l_k and l_v scale the output of the key and value projections, bias included and, in v2, before the
rotation; l_ff scales the input of the second feed-forward matrix, in v2 after the gate product.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dnalm.model.adapters import AdaptedLinear, list_layers, of_rows
from dnalm.model.linear import Linear
from dnalm.model.weights import published_name

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


def ia3_in_peft(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the adapter_config.json and the tensors of `peft` for the vectors of `adapter_state`.

    They are for `EsmModel` and what has its blocks, gated feed-forwards too.
    """
    settings = {
        "peft_type": "IA3",
        "target_modules": PEFT_TARGETS,
        "feedforward_modules": PEFT_FEED_FORWARD,
        "fan_in_fan_out": False,
        "init_ia3_weights": True,
        "modules_to_save": None,
    }
    tensors = {}
    for name, scale in state.items():
        module = published_name(name.removesuffix("scale") + "weight").removesuffix(".weight")
        # A row of the inputs of a feed-forward's second matrix, a column of outputs else.
        shape = (1, -1) if name.endswith("feed_forward.output.scale") else (-1, 1)
        # The base is the encoder alone, in which names do not begin with "esm.".
        tensors[f"base_model.model.{module.removeprefix('esm.')}.ia3_l"] = scale.reshape(shape)
    return settings, tensors
