"""Adam and AdamW by torch's own kernels.

The classes of `torch.optim` load torch's compiler at their first use, which takes a process as long
as torch itself, more than a second; the function that they call does not.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba 2015); `weight_decay` is decoupled (Loshchilov and Hutter 2019).

    `state` holds the moments of every parameter from the start, for checkpoints to be read into.
    `fused` is one kernel for all parameters, which rounds otherwise. Parameters without a gradient
    stay as they are.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
        fused: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.betas, self.eps, self.weight_decay, self.fused = betas, eps, weight_decay, fused
        self.state = {
            parameter: {
                # Read by the host but where one kernel reads it.
                "step": torch.zeros((), device=parameter.device if fused else "cpu"),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
            for parameter in self.parameters
        }

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update the parameters by their gradients with the learning rate `rate`."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        states = [self.state[parameter] for parameter in moved]
        adam(
            moved,
            [parameter.grad for parameter in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=self.fused or None,
            decoupled_weight_decay=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=rate,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.grad = None
