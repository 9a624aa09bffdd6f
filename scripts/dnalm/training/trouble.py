"""Losses that are not finite: noted on the device without waiting for it, told with a window."""

import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.training.batches import Batches
from dnalm.training.distributed import Group

NONE = -1


class Trouble:
    """Remembers the first step with a loss that is not finite."""

    def __init__(self, batches: Batches, group: Group) -> None:
        self._batches, self._group = batches, group
        # Step (0-based), pass and row of the first such loss; how many rows of the pass have one.
        self._first = torch.full((4,), NONE, device=group.device)

    def note(self, losses: Tensor, step: int, part: int) -> None:
        """Look at the weighted losses [B, K] of one pass."""
        bad = ~losses.detach().sum(1).isfinite()
        rows = bad.sum()
        here = [torch.full_like(rows, number) for number in (step, part)]
        found = torch.stack([*here, bad.int().argmax(), rows])
        self._first = torch.where((rows > 0) & (self._first[0] == NONE), found, self._first)

    def tell(self, gradient_norm: Tensor, step: int) -> None:
        """Raise `InputError` when any process noted a loss, or has a gradient, that is not finite.

        It names the step (counted from 1) and the window. Every process has to call it.
        """
        first, part, row, rows = self._first.tolist()
        sample = NONE if first == NONE else self._batches.sample(first, part, row)
        noted = self._group.gather(torch.tensor([first, sample, rows], device=self._first.device))
        noted = [entry for entry in noted.tolist() if entry[0] != NONE]
        if noted:
            first, sample, rows = min(noted)
            others = f" and {rows - 1} more of its pass" if rows > 1 else ""
            raise InputError(
                f"The loss is not finite at step {first + 1}, in window "
                f"{_name(self._batches.windows.locate(sample))}{others}; lower "
                "pretrain.schedule.peak or, when it is only this window, look at its bases; then "
                "run again, which starts a new state."
            )
        if not gradient_norm.isfinite():
            raise InputError(
                f"The gradient is not finite at step {step}; lower pretrain.schedule.peak or "
                "choose pretrain.precision float32."
            )


def _name(location: dict[str, str | int]) -> str:
    return f"{location['genome']}:{location['contig']}:{location['start']}"
