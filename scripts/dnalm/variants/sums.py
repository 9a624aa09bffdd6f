"""Sums of what is read of alleles over the frames and strands of their windows.

Shapes: T tokens, S changed tokens, D width, A alleles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.variants.alleles import INDEL
from dnalm.variants.distances import MEASURES, compute_distances
from dnalm.variants.readings import Plan, Reading
from dnalm.variants.score_table import FLAT, POOLED, TOKEN


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores float64 [A, scores] of alleles, NaN where there is none; features as asked for.

    `reference` and `alternative` are the pooled vectors float32 [A, D], NaN of alleles without.
    """

    scores: NDArray[np.float64]
    reference: NDArray[np.float32] | None
    alternative: NDArray[np.float32] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Unmasked:
    """What a pass without masks gives of one window: states [T, D], float64 pooled [D], its loss.

    `spans` int [T, 2] are the bases that the tokens cover, where these depend on the sequence.
    """

    states: Tensor | None
    pooled: Tensor | None
    loss: float | None
    spans: NDArray[np.int64] | None = None

    def average(self, changed: NDArray[np.int64]) -> Tensor:
        """Return the mean state [D] of the tokens `changed`; with spans, of those of such bases."""
        at = changed
        if self.spans is not None:
            covers = (self.spans[:, :1] <= changed) & (changed < self.spans[:, 1:])
            at = np.flatnonzero(covers.any(1))
        return self.states[torch.from_numpy(at).to(self.states.device)].float().mean(0)

    def is_aligned(self, other: "Unmasked") -> bool:
        """Return whether the tokens of both windows cover the same bases, one by one."""
        return self.spans is None or np.array_equal(self.spans, other.spans)


class Sums:
    """Sums over frames and strands of what is found of each row."""

    def __init__(self, count: int, plan: Plan, readings: int) -> None:
        self._plan, self._readings = plan, readings
        self._scores = np.full((count, len(plan.scores)), np.nan)
        self._columns = {name: column for column, name in enumerate(plan.scores)}
        self._features: list[NDArray[np.float32] | None] = [None, None]
        self._lost = np.zeros((count, len(plan.scores)), dtype=bool)
        self._count = count

    def add_unmasked(self, found: Sequence[tuple[Reading, Unmasked | None, Unmasked]]) -> None:
        """Add the distances and losses of readings, each with its reference."""
        if not found:
            return
        if self._plan.states:
            pooled = [
                torch.stack([one.pooled for one in side])
                for side in ([one for _, one, _ in found], [other for _, _, other in found])
            ]
            if POOLED in self._plan.places:
                measured = compute_distances(*pooled)
                self._add_distances([reading for reading, _, _ in found], measured, "")
            if self._plan.features:
                self._add_features([reading for reading, _, _ in found], pooled)
        self._add_states([one for one in found if one[0].kind != INDEL])
        for reading, before, own in found if self._plan.losses else ():
            if reading.kind != INDEL:
                self._add(reading, "loss_alt", own.loss)
                if before is not None:
                    self._add(reading, "loss_difference", own.loss - before.loss)

    def _add_states(self, found: Sequence[tuple[Reading, Unmasked, Unmasked]]) -> None:
        for reading, before, own in found:
            if TOKEN in self._plan.places:
                means = [one.average(reading.changed)[None] for one in (before, own)]
                self._add_distances([reading], compute_distances(*means), "_token")
            if FLAT in self._plan.places and not own.is_aligned(before):
                self.lose(reading, [f"{measure}_flat" for measure in MEASURES])
            elif FLAT in self._plan.places:
                flat = [one.states.float().flatten()[None] for one in (before, own)]
                self._add_distances([reading], compute_distances(*flat), "_flat")

    def _add_distances(self, readings: Sequence[Reading], measured: Tensor, ending: str) -> None:
        for reading, values in zip(readings, measured.cpu().tolist(), strict=True):
            for measure, value in zip(MEASURES, values, strict=True):
                self._add(reading, f"{measure}{ending}", value)

    def _add_features(self, readings: Sequence[Reading], pooled: Sequence[Tensor]) -> None:
        for side, vectors in enumerate(pooled):
            found = vectors.cpu().numpy() / self._readings
            if self._features[side] is None:
                self._features[side] = np.full((self._count, found.shape[1]), np.nan, np.float32)
            for reading, vector in zip(readings, found, strict=True):
                _add_to(self._features[side], reading.rows, vector)

    def add_masked(self, readings: Sequence[Reading], found: NDArray[np.float64]) -> None:
        """Add log-likelihood ratios and losses; `found` [2, n] is ln p of reference, alternative.

        Its columns are the changed tokens of the readings, one behind the other.
        """
        ends = np.cumsum([len(reading.changed) for reading in readings])
        for reading, own in zip(readings, np.split(found, ends[:-1], axis=1), strict=True):
            self.add_likelihoods(reading, own[0], own[1], equal=True)

    def add_likelihoods(
        self,
        reading: Reading,
        reference: NDArray[np.float64],
        alternative: NDArray[np.float64],
        *,
        equal: bool,
    ) -> None:
        """Add what follows from ln p [S] of the masked tokens of each allele.

        `equal` says whether they cover the same bases, in one masked window.
        """
        ratio = float(alternative.sum() - reference.sum())
        if equal:
            self._add(reading, "llr", ratio)
        else:
            self.lose(reading, ["llr"])
        self._add(reading, "llr_own_tokens", ratio)
        self._add(reading, "masked_loss_alt", float(-alternative.mean()))

    def _add(self, reading: Reading, name: str, value: float) -> None:
        column = self._columns.get(name)
        if column is not None:
            _add_to(self._scores[:, column], reading.rows, value / self._readings)

    def lose(self, reading: Reading, names: Sequence[str]) -> None:
        """Note that scores are not defined in a reading: then they have no mean over all."""
        for name in names:
            if name in self._columns:
                self._lost[reading.rows, self._columns[name]] = True

    def finish(self) -> Scored:
        """Return what was added."""
        return Scored(
            scores=np.where(self._lost, np.nan, self._scores),
            reference=self._features[0],
            alternative=self._features[1],
        )


def _add_to(sums: np.ndarray, rows: Sequence[int], value: float | np.ndarray) -> None:
    """Add a value to rows, of which NaN are 0; a row that is named twice gains it twice.

    At the end of a contig two frames of an allele may be one window.
    """
    for row in rows:
        sums[row] = np.nan_to_num(sums[row]) + value
