"""Gradients of whole copies in one flat tensor, summed over processes at once or by block."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dnalm.parallel.distributed import Group

BLOCKS = "blocks."


class FlatGradients:
    """Gradients of `parameters` {name: parameter}, each a view of its part of one flat tensor.

    With `in_backward` their sum over the processes begins while the last backward pass of a step
    goes on: for a block, and for what lies before and behind the blocks, as soon as all of its
    parameters have their gradients. Every process has to make the same passes.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], group: Group, *, in_backward: bool
    ) -> None:
        self._group = group
        sizes = [parameter.numel() for parameter in parameters.values()]
        self._flat = torch.zeros(sum(sizes), device=group.device)
        for parameter, part in zip(parameters.values(), self._flat.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)
        self._buckets: list[_Bucket] = []
        self._armed = False
        if in_backward and group.size > 1:
            self._make_buckets(parameters)

    def prepare_pass(self, *, last: bool) -> None:
        """Tell whether the next backward pass is the last one before `reduce`."""
        self._armed = last
        for bucket in self._buckets:
            bucket.missing = bucket.parameters

    def reduce(self) -> Tensor:
        """Return the flat gradients summed over all processes, in place; wait for what has begun.

        On a GPU it is its queue that waits, not the host.
        """
        if not self._buckets:
            return self._group.sum(self._flat)
        self._begin(everything=True)
        for bucket in self._buckets:
            bucket.sum.wait()
            bucket.sum = None
        self._armed = False
        return self._flat

    def _make_buckets(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Cut the flat tensor into buckets, in the order in which a backward pass fills them."""
        ends: list[tuple[str, int, int]] = []  # part of the encoder, its end, its parameters
        end = 0
        for name, parameter in parameters.items():
            end += parameter.numel()
            part = _part_of(name)
            before = ends.pop()[2] if ends and ends[-1][0] == part else 0
            ends.append((part, end, before + 1))
        begins = [0, *(end for _, end, _ in ends[:-1])]
        own = {
            part: _Bucket(self._flat[begin:end], count)
            for begin, (part, end, count) in zip(begins, ends, strict=True)
        }
        self._buckets = list(own.values())[::-1]
        for name, parameter in parameters.items():
            bucket = own[_part_of(name)]
            parameter.register_post_accumulate_grad_hook(
                lambda _, bucket=bucket: self._note(bucket)
            )

    def _note(self, bucket: "_Bucket") -> None:
        """Count a gradient that is complete."""
        bucket.missing -= 1
        if self._armed and bucket.missing == 0:
            self._begin(everything=False)

    def _begin(self, *, everything: bool) -> None:
        """Begin the sums of complete buckets: one after the other, so that all processes agree."""
        for bucket in self._buckets:
            if bucket.sum is None:
                if bucket.missing > 0 and not everything:
                    return
                bucket.sum = torch.distributed.all_reduce(bucket.gradients, async_op=True)


class _Bucket:
    """A stretch of the flat gradients, of so many parameters, and its sum once that has begun."""

    def __init__(self, gradients: Tensor, parameters: int) -> None:
        self.gradients, self.parameters = gradients, parameters
        self.missing = parameters
        self.sum: torch.distributed.Work | None = None


def _part_of(name: str) -> str:
    """Return the block of a parameter, or that it comes before or behind all blocks."""
    if name.startswith(BLOCKS):
        return name.removeprefix(BLOCKS).split(".")[0]
    return "before" if name.startswith(("tokens.", "positions.")) else "behind"
