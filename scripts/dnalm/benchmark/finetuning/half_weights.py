"""Frozen weights in bf16 while a fold is trained, in float32 again to be checked and to test."""

from torch import nn

from dnalm.model.encoder import Encoder
from dnalm.model.linear import Linear


class HalfWeights:
    """The frozen linear layers of an encoder, in bf16 where steps are computed in bf16.

    Autocast would round them anew in every pass, to the same numbers.
    """

    def __init__(self, encoder: nn.Module, precision: str) -> None:
        self._exact: dict[Linear, tuple[nn.Parameter, nn.Parameter | None]] = {}
        if precision != "bf16" or not isinstance(encoder, Encoder):
            return
        for layer in encoder.blocks.modules():
            if isinstance(layer, Linear) and not layer.weight.requires_grad:
                self._exact[layer] = (layer.weight, layer.bias)
                layer.weight = _halve(layer.weight)
                layer.bias = None if layer.bias is None else _halve(layer.bias)

    def restore(self) -> None:
        """Put the weights in float32 back."""
        for layer, (weight, bias) in self._exact.items():
            layer.weight, layer.bias = weight, bias
        self._exact = {}


def _halve(values: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(values.detach().bfloat16(), requires_grad=False)
