"""Losses and gradients that are not finite: noted on the device, told when it is waited for."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.training.batches import Batches
from dnalm.training.distributed import Group

NONE = -1


class Trouble:
    """Remembers the first step with a loss, and the first with a gradient, that is not finite."""

    def __init__(self, batches: Batches, group: Group) -> None:
        self._batches, self._group = batches, group
        # Step (0-based), pass and row of the first such loss; how many rows of the pass have one.
        self._first = torch.full((4,), NONE, device=group.device)
        self._gradient_step = torch.full((), NONE, device=group.device)

    def note(self, losses: Tensor, step: int, part: int) -> None:
        """Look at the weighted losses [B, K] of one pass."""
        bad = ~losses.detach().sum(1).isfinite()
        rows = bad.sum()
        here = [torch.full_like(rows, number) for number in (step, part)]
        found = torch.stack([*here, bad.int().argmax(), rows])
        self._first = torch.where((rows > 0) & (self._first[0] == NONE), found, self._first)

    def note_gradient(self, norm: Tensor, step: int) -> None:
        """Look at the norm of the whole gradient of a step (0-based), which all processes share."""
        new = ~norm.isfinite() & (self._gradient_step == NONE)
        self._gradient_step = torch.where(new, step, self._gradient_step)

    def tell(self) -> None:
        """Raise `InputError` when any process noted a loss or a gradient that is not finite.

        It names the step (counted from 1) of what came first and, of a loss, the window. Every
        process has to call it.
        """
        first, part, row, rows = self._first.tolist()
        sample = NONE if first == NONE else self._batches.sample(first, part, row)
        noted = self._group.gather(torch.tensor([first, sample, rows], device=self._first.device))
        noted = [entry for entry in noted.tolist() if entry[0] != NONE]
        gradient = int(self._gradient_step)
        # Within a step the losses come first. Those of later steps are bad because of the weights
        # that such a gradient leaves behind; their windows are innocent.
        if gradient != NONE and all(first > gradient for first, *_ in noted):
            raise InputError(
                f"The norm of the gradient is not finite at step {gradient + 1}, though all losses "
                "up to there are; lower pretrain.schedule.peak or raise "
                "pretrain.schedule.warmup_steps, then run again, which starts a new state."
            )
        if noted:
            first, sample, rows = min(noted)
            others = f" and {rows - 1} more of its pass" if rows > 1 else ""
            raise InputError(
                f"The loss is not finite at step {first + 1}, in window "
                f"{_name(self._batches.windows.locate(sample))}{others}; lower "
                "pretrain.schedule.peak or, when it is only this window, look at its bases; then "
                "run again, which starts a new state."
            )


def refuse_empty_steps(done: Mapping[str, int], min_kmers: int) -> None:
    """Raise `InputError` when no step of training so far, counted in `done`, had any weight."""
    if done["skipped_steps"] == done["step"]:
        raise InputError(
            f"None of the first {done['step']} steps had a token to learn from: "
            f"{done['thin_windows']} of their windows hold fewer than {min_kmers} k-mers; lower "
            "corpus.min_kmers, raise pretrain.masking.selected, or look for N in the genomes."
        )


def _name(location: dict[str, str | int]) -> str:
    return f"{location['genome']}:{location['contig']}:{location['start']}"
