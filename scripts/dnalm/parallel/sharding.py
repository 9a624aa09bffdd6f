"""Sharding (FSDP2), activation checkpointing and compilation of an encoder's blocks.

A shard is a process's part of every parameter, cut along its first dimension.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dnalm.devices import is_out_of_memory
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group

MAX_REASON = 300  # letters of an error in the log

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Memory layout of a model: number of `shards` (1: a whole copy per process), recomputation.

    Fewer shards than processes are copied: each group of so many processes holds all of them. With
    `reshard` gathered weights are given up after each pass, else kept until the update.
    """

    shards: int
    reshard: bool
    activation_checkpointing: bool

    def __str__(self) -> str:
        weights = "whole copies" if self.shards == 1 else f"{self.shards} shards"
        if self.shards > 1 and not self.reshard:
            weights += ", gathered once a step,"
        kept = "with" if self.activation_checkpointing else "without"
        return f"{weights} of the weights, {kept} activation checkpointing"


def arrange(
    encoder: Encoder, layout: Layout, group: Group, *, precision: str, compiled: bool
) -> Encoder:
    """Return `encoder` on the group's device as `layout` says; names of parameters stay.

    Every process brings the same weights. Of several shards this process keeps its own, as
    parameters that are `DTensor`s; blocks are gathered when they compute. Fewer shards than
    processes are those of neighbouring ranks, and the next ones hold copies. A `compiled` block is
    compiled as a whole; where that fails, all run as they are, and one warning says so.
    """
    compilation = _Compilation()
    for block in encoder.blocks:
        # Of the instance, not by a wrapper: no parameter changes its name, and the hooks that
        # gather a block stay outside of what is recomputed and compiled.
        if layout.activation_checkpointing:
            block.forward = _recomputed(block.forward, random=encoder.config.dropout > 0)
        if compiled:
            block.forward = compilation.of(block.forward)
    if layout.shards == 1:
        return encoder.to(group.device)
    return _shard(encoder, layout, group, precision)


def prepare_pass(encoder: Encoder, layout: Layout, *, last: bool) -> None:
    """Tell an arranged encoder whether its next backward pass is the last one before an update.

    Gradients of copies are summed over them in that one alone, and weights that are kept gathered
    are given up after it, because they change then.
    """
    if layout.shards > 1:
        encoder.set_requires_all_reduce(last)
        encoder.set_reshard_after_backward(layout.reshard or last)


def part_of(tensor: Tensor) -> Tensor:
    """Return the local part of a tensor, sharing its memory; all of one that is not sharded."""
    return tensor.to_local() if is_shard(tensor) else tensor


def is_shard(tensor: Tensor) -> bool:
    """Return whether a tensor is a `DTensor`, without the second that importing the class takes."""
    return hasattr(tensor, "to_local")


def fill(tensor: Tensor, whole: Tensor) -> None:
    """Copy into `tensor` its part of `whole`, which every process brings."""
    if is_shard(tensor):
        from torch.distributed.tensor import distribute_tensor

        options = {"device_mesh": tensor.device_mesh, "placements": tensor.placements}
        # Without a source rank each process cuts its own copy; nothing is sent.
        whole = distribute_tensor(whole.to(tensor.device), **options, src_data_rank=None)
    part_of(tensor).copy_(part_of(whole))


class _Compilation:
    """Functions compiled by `torch.compile` for as long as it can; it works on their first call."""

    def __init__(self) -> None:
        self._failed = False

    def of(self, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return `forward` compiled, or as it is once any function could not be compiled."""
        # For each shape anew: what is learned on and what is measured on are two, and one graph
        # for both would be slower for both.
        compiled = torch.compile(forward, dynamic=False)

        def run(*inputs: Tensor | None) -> Tensor:
            if not self._failed:
                try:
                    return compiled(*inputs)
                except Exception as error:
                    if is_out_of_memory(error):
                        raise
                    self._give_up(error)
            # An error that is not the compiler's comes again here.
            return forward(*inputs)

        return run

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
        logger.warning(
            "The blocks could not be compiled and run as they are, which is slower; set "
            "operation.compile to false, or give torch what it lacks: %s",
            reason,
        )


def _recomputed(forward: Callable[..., Tensor], *, random: bool) -> Callable[..., Tensor]:
    def recompute(*inputs: Tensor | None) -> Tensor:
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=random)

    return recompute


def _shard(encoder: Encoder, layout: Layout, group: Group, precision: str) -> Encoder:
    # Here, because the import takes longer than many a step of who does not shard.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    copies = group.size // layout.shards
    shape = (layout.shards,) if copies == 1 else (copies, layout.shards)
    names = ("copies", "shards")[-len(shape) :]
    mesh = init_device_mesh(group.device.type, shape, mesh_dim_names=names)
    whole = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    # Gathered in what they compute in: half the traffic, and no copies that a backward pass keeps.
    # Inputs are not cast: the residual stream is float32, as it is without shards.
    half = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in encoder.blocks:
        policy = half if precision == "bf16" else whole
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=layout.reshard)
    fully_shard(encoder, mesh=mesh, mp_policy=whole)
    for module in encoder.modules():
        if isinstance(module, FSDPModule):
            # Sums, no averages: `Optimizer` divides by the tokens of all processes.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    # Nobody writes into these outputs, which is what the warning is about.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    return encoder
