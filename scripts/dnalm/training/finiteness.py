"""Detection of non-finite losses and gradients, without waiting for the device at every step."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.parallel.distributed import Group
from dnalm.training.batches import Batches

NOT_FOUND = -1


class FinitenessMonitor:
    """Notes on the device the first step with a non-finite loss, and the first such gradient."""

    def __init__(self, batches: Batches, group: Group) -> None:
        self._batches, self._group = batches, group
        # Step (0-based), pass and row of the first such loss; how many rows of the pass have one.
        self._first = torch.full((4,), NOT_FOUND, device=group.device)
        self._gradient_step = torch.full((), NOT_FOUND, device=group.device)

    def note_losses(self, losses: Tensor, step: int, part: int) -> None:
        """Note whether any of the weighted losses [B, K] of one pass is not finite."""
        # A row's sum is not finite when any of its terms is: one reduction, no wait for the device.
        bad = ~losses.detach().sum(1).isfinite()
        rows = bad.sum()
        here = [torch.full_like(rows, number) for number in (step, part)]
        found = torch.stack([*here, bad.int().argmax(), rows])
        self._first = torch.where((rows > 0) & (self._first[0] == NOT_FOUND), found, self._first)

    def note_gradient(self, norm: Tensor, step: int) -> None:
        """Note whether the global gradient norm of a step (0-based) is not finite."""
        new = ~norm.isfinite() & (self._gradient_step == NOT_FOUND)
        self._gradient_step = torch.where(new, step, self._gradient_step)

    def raise_if_found(self) -> None:
        """Raise `InputError` when any process noted a loss or a gradient that is not finite.

        It names the step (counted from 1) of what came first and, of a loss, the window. Every
        process has to call it.
        """
        first, part, row, rows = self._first.tolist()
        sample = NOT_FOUND if first == NOT_FOUND else self._batches.sample(first, part, row)
        noted = self._group.gather(torch.tensor([first, sample, rows], device=self._first.device))
        noted = [entry for entry in noted.tolist() if entry[0] != NOT_FOUND]
        gradient = int(self._gradient_step)
        # Within a step the losses come first. Those of later steps come from the weights that
        # such a gradient leaves behind, not from their windows.
        if gradient != NOT_FOUND and all(first > gradient for first, *_ in noted):
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
            f"{done['thin_windows']} of their windows hold fewer than {min_kmers} k-mers or "
            "too much N; lower corpus.min_kmers, raise pretrain.masking.selected or max_n_share of "
            "the windows, or look for N in the genomes."
        )


def _name(location: dict[str, str | int]) -> str:
    return f"{location['genome']}:{location['contig']}:{location['start']}"
