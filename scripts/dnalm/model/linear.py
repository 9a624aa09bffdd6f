"""The encoder's matrix products: on a CPU in float32 by oneDNN, elsewhere by what torch takes.

For float32 torch calls MKL, which leaves half of every vector unused on processors that are not of
its own maker. oneDNN, which torch brings along, uses the whole width on all.

Shape letters: M rows, K columns in, N columns out.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Below so many multiplications a call of oneDNN costs more than it saves.
FEWEST_PRODUCTS = 1 << 20


class Linear(nn.Linear):
    """W·x + b and its gradients, equal to those of `nn.Linear` but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        if not _suits(x, self.weight):
            return super().forward(x)
        if torch.is_grad_enabled():
            return _Product.apply(x, self.weight, self.bias)
        return _multiply(x, self.weight, self.bias)


class _Product(torch.autograd.Function):
    """x [M, K] · weight [N, K]ᵀ + bias [N]; autograd knows no gradient of what oneDNN does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_x = of_weight = of_bias = None
        if wanted[0]:
            of_x = _multiply(gradient.contiguous(), weight.t().contiguous(), None)
        if wanted[1]:
            columns = x.reshape(-1, x.shape[-1]).t().contiguous()
            of_weight = _multiply(rows.t().contiguous(), columns, None)
        if wanted[2]:
            of_bias = rows.sum(0)
        return of_x, of_weight, of_bias


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and x.numel() * len(weight) >= FEWEST_PRODUCTS
        and x.is_contiguous()
        and weight.is_contiguous()
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        # Not part of torch's public interface: another version may call it otherwise.
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # What torch.compile calls for a linear layer on a CPU; its tensors have to be contiguous.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
