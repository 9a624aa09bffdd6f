"""Adam on the mean gradient of a global batch."""

import torch
from torch import Tensor

from dnalm.model.encoder import Encoder
from dnalm.training.distributed import Group
from dnalm.training.schedule import learning_rate
from dnalm.training.settings import PretrainConfig

NORM_EPS = 1e-6


class Optimizer:
    """Moves an encoder's weights; gradients of all parameters are parts of one flat tensor.

    Backward passes add summed losses' gradients to it; one exchange, one norm and one scaling then
    serve all parameters.
    """

    def __init__(self, encoder: Encoder, config: PretrainConfig, group: Group) -> None:
        parameters = list(encoder.parameters())
        self.config = config
        self.gradient_norm = torch.zeros((), device=group.device)
        self.adam = torch.optim.AdamW(
            parameters,
            lr=0.0,
            betas=(config.optimizer.beta1, config.optimizer.beta2),
            eps=config.optimizer.eps,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        self._group = group
        sizes = [parameter.numel() for parameter in parameters]
        self._gradient = torch.zeros(sum(sizes), device=group.device)
        for parameter, part in zip(parameters, self._gradient.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)

    def rate(self, step: int) -> float:
        """Return the learning rate of the update that ends step `step`, counted from 1."""
        return learning_rate(step, self.config.schedule)

    def update(self, weight: float, step: int) -> None:
        """Take the summed gradient of `weight` tokens in all processes, update and forget it.

        `gradient_norm` is afterwards the norm of the mean gradient before it was bounded.
        """
        self._group.sum(self._gradient)
        # Divided before it is bounded: the bound is on the gradient of the mean loss.
        self._gradient /= weight
        self.gradient_norm: Tensor = torch.linalg.vector_norm(self._gradient)
        if self.config.gradient_clip is not None:
            bound = self.config.gradient_clip / (self.gradient_norm + NORM_EPS)
            self._gradient *= bound.clamp(max=1.0)
        self.adam.param_groups[0]["lr"] = self.rate(step)
        self.adam.step()
        self._gradient.zero_()
