"""Adam on the mean gradient of a global batch."""

import torch
from torch import Tensor

from dnalm.model.adam import Adam
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import is_shard, part_of
from dnalm.training.gradients import FlatGradients
from dnalm.training.schedule import learning_rate
from dnalm.training.settings import PretrainConfig

NORM_EPS = 1e-6


class Optimizer:
    """AdamW on an encoder, with gradients of summed losses accumulated over passes and processes.

    Without shards all gradients are parts of one flat tensor, `FlatGradients`: one norm and one
    scaling serve all parameters, and one all-reduce, or with `reduce_in_backward` one for each
    block. With shards each process holds its part of every gradient, summed
    over the processes as the backward pass goes; `shards` is their number. The learning rate may
    fall to the last of `steps`.
    """

    def __init__(
        self,
        encoder: Encoder,
        config: PretrainConfig,
        group: Group,
        *,
        shards: int,
        steps: int,
        reduce_in_backward: bool = False,
    ) -> None:
        # Kept, because a gathered shard is another tensor under the same name.
        self.parameters = dict(encoder.named_parameters())
        self.config, self.steps = config, steps
        self.gradient_norm = torch.zeros((), device=group.device)
        self.adam = Adam(
            self.parameters.values(),
            betas=(config.optimizer.beta1, config.optimizer.beta2),
            eps=config.optimizer.eps,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        self._group = group
        # Processes that hold the same shard, whose squares a sum over all counts as often.
        self._copies = group.size // shards
        self._flat: FlatGradients | None = None
        if not any(map(is_shard, self.parameters.values())):
            self._flat = FlatGradients(self.parameters, group, in_backward=reduce_in_backward)

    def prepare_pass(self, *, last: bool) -> None:
        """Tell whether the next backward pass is the last one before `update`."""
        if self._flat is not None:
            self._flat.prepare_pass(last=last)

    @property
    def moments(self) -> dict[str, Tensor]:
        """Return {key.name: tensor} of Adam's state, by its own keys and the encoder's names."""
        return {
            f"{key}.{name}": value
            for name, parameter in self.parameters.items()
            for key, value in self.adam.state[parameter].items()
        }

    def rate(self, step: int) -> float:
        """Return the learning rate of the update that ends step `step`, counted from 1."""
        return learning_rate(step, self.config.schedule, self.steps)

    def update(self, weight: float, step: int) -> None:
        """Update the weights by the mean gradient over `weight` tokens of all processes; reset it.

        `gradient_norm` is afterwards the norm of the mean gradient before clipping.
        """
        gradients = self._reduce()
        # Divided before it is clipped: the bound is on the gradient of the mean loss.
        torch._foreach_div_(gradients, weight)
        self.gradient_norm: Tensor = self._norm(gradients)
        if self.config.gradient_clip is not None:
            bound = self.config.gradient_clip / (self.gradient_norm + NORM_EPS)
            torch._foreach_mul_(gradients, bound.clamp(max=1.0))
        self.adam.step(self.rate(step))
        torch._foreach_zero_(gradients)

    def _reduce(self) -> list[Tensor]:
        """Return what this process holds of the gradient that is summed over all processes."""
        if self._flat is None:
            return [part_of(parameter.grad) for parameter in self.parameters.values()]
        return [self._flat.reduce()]

    def _norm(self, gradients: list[Tensor]) -> Tensor:
        if self._flat is not None:
            return torch.linalg.vector_norm(gradients[0])
        squares = torch.stack(torch._foreach_norm(gradients)).square().sum()
        return (self._group.sum(squares) / self._copies).sqrt()
