"""Linear layer: by oneDNN in float32 on a CPU with AVX-512, elsewhere by torch's own choice.

For float32 on CPUs torch calls MKL, which leaves half of every vector of AVX-512 unused on some
processors. oneDNN, which torch brings along, uses the whole width. With AVX2 both do, and MKL is
faster. The instructions decide, not a measurement, which could come out otherwise when a training
goes on and would change its last bits. What it gains and costs, by processor:
docs/explanation/performance.md.

Shape letters: M rows, K columns in, N columns out.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Below so many multiply-adds the overhead of a oneDNN call costs more than it saves.
MIN_PRODUCTS = 1 << 20


class Linear(nn.Linear):
    """Linear layer x·Wᵀ + b and its gradients, equal to those of `nn.Linear` but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        if not _onednn_serves(x, self.weight):
            return super().forward(x)
        if torch.is_grad_enabled():
            return _Product.apply(x, self.weight, self.bias)
        return _multiply(x, self.weight, self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """Return GELU of what the layer returns: the same numbers, on a CPU without a second pass.

        A layer that something was added to has a pass of its own.
        """
        plain = type(self) is Linear and not self._forward_hooks
        if not plain or torch.is_grad_enabled() or not _onednn_serves(x, self.weight):
            return functional.gelu(self(x))
        return _multiply(x, self.weight, self.bias, "gelu")


class _Product(torch.autograd.Function):
    """x [M, K] · weight [N, K]ᵀ + bias [N]; autograd has no derivative of the oneDNN operator."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # Frozen weights have no use for x, which would be most of the memory.
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_x = of_weight = of_bias = None
        if wanted[0]:
            # dL/dx = g·W, a product with the transposed weight, of which no copy is needed.
            of_x = _multiply(gradient.contiguous(), weight.t(), None)
        if wanted[1]:
            # dL/dW = gᵀ·x; both are copied, because oneDNN wants rows without gaps.
            columns = x.reshape(-1, x.shape[-1]).t().contiguous()
            of_weight = _multiply(rows.t().contiguous(), columns, None)
        if wanted[2]:
            of_bias = rows.sum(0)
        return of_x, of_weight, of_bias


def _onednn_serves(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()  # the compiler chooses by itself
        and x.device.type == "cpu"
        and _has_avx512()
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and x.numel() * len(weight) >= MIN_PRODUCTS
        and x.is_contiguous()
        and weight.is_contiguous()
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        # Not part of torch's public interface: another version may call it otherwise.
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


@cache
def _has_avx512() -> bool:
    """Return whether torch finds AVX-512, and was not told to do without it."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    # What torch.compile calls for a linear layer on a CPU; x has to be contiguous, the
    # weight may be a transposed one.
    # The last argument is that of torch's gelu: no approximation.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none")
