"""Passes of windows through a language model, and the scores of alleles that follow from them.

Shapes: B batch, T tokens with <cls>, S changed tokens, D width, A alleles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.devices import send
from dnalm.model.heads import pooling_weights, weigh
from dnalm.model.token_batches import limit_tokens
from dnalm.variants.alleles import INDEL, Allele
from dnalm.variants.distances import MEASURES, compute_distances
from dnalm.variants.language_model import TokenModel
from dnalm.variants.readings import (
    Plan,
    Reading,
    Tokens,
    Window,
    collect_windows,
    list_masked,
    list_unmasked,
)
from dnalm.variants.score_table import FLAT, POOLED, TOKEN
from dnalm.variants.windows import Windows

Tick = Callable[[int], object]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores float64 [A, scores] of alleles, NaN where there is none; features as asked for.

    `reference` and `alternative` are the pooled vectors float32 [A, D], NaN of alleles without.
    """

    scores: NDArray[np.float64]
    reference: NDArray[np.float32] | None
    alternative: NDArray[np.float32] | None


@torch.inference_mode()
def score_alleles(
    model: TokenModel,
    windows: Windows,
    alleles: Mapping[int, Allele],
    count: int,
    plan: Plan,
    batch_tokens: int,
    tick: Tick = lambda passes: None,
) -> Scored:
    """Return the scores of `count` rows, of which `alleles` {row: allele} can be scored.

    A score is the mean over the frames and strands of the windows. `tick` is told of each batch's
    number of windows.
    """
    collected = collect_windows(windows, alleles, plan)
    sums = _Sums(count, plan, windows.config.readings)
    by_length: dict[tuple[int, ...], list[Window]] = {}
    for window in collected:
        lengths = {len(window.tokens)} | {len(one.tokens) for one in window.readings.values()}
        by_length.setdefault(tuple(sorted(lengths)), []).append(window)
    for lengths, own in sorted(by_length.items()):
        size = max(1, limit_tokens(batch_tokens, model.device) // lengths[-1])
        if len(lengths) > 1:  # of an indel near N, rare: each window in a batch of its own
            size = 1
        _read_unmasked(model, own, size, plan, sums, tick)
        _read_masked(model, own, size, plan, sums, tick)
    return sums.finish()


def _read_unmasked(
    model: TokenModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: "_Sums",
    tick: Tick,
) -> None:
    passes = [(window, reading) for window in windows for reading in list_unmasked(window, plan)]
    before: _Unmasked | None = None  # the last reference, whose alleles may fill several batches
    for at in range(0, len(passes), size):
        batch = passes[at : at + size]
        tokens = _to_device([(reading or window).tokens for window, reading in batch], model)
        states, losses = model.read(tokens, states=plan.states, losses=plan.losses)
        pooled = None
        if states is not None:
            pooled = weigh(states, pooling_weights(tokens, model.vocabulary, plan.pooling))
        found = []
        means = [None] * len(batch) if losses is None else losses.double().cpu().tolist()
        for row, (_, reading) in enumerate(batch):
            own = _Unmasked(
                states=None if states is None else states[row],
                pooled=None if pooled is None else pooled[row],
                loss=means[row],
            )
            if reading is None:
                before = own
            else:
                found.append((reading, before, own))
        sums.add_unmasked(found)
        if before is not None and before.states is not None:
            # Not a view, which would keep the whole batch.
            keep = before.states.clone() if {TOKEN, FLAT} & plan.places else None
            before = _Unmasked(states=keep, pooled=before.pooled, loss=before.loss)
        tick(len(batch))


def _read_masked(
    model: TokenModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: "_Sums",
    tick: Tick,
) -> None:
    passes = [
        (window, np.array(changed), readings)
        for window in windows
        for changed, readings in list_masked(window, plan).items()
    ]
    # Those of as many masked tokens together: the head runs at them alone.
    passes.sort(key=lambda one: len(one[1]))
    for at in range(0, len(passes), size):
        batch = passes[at : at + size]
        tokens = _to_device([window.tokens for window, _, _ in batch], model)
        width = max(len(changed) for _, changed, _ in batch)
        places = np.stack([np.resize(changed, width) for _, changed, _ in batch])
        selected = send(torch.from_numpy(places), model.device)
        tokens.scatter_(1, selected, model.vocabulary.mask)
        likelihoods = model.read_masked(tokens, selected).log_softmax(dim=-1)
        row, place, reference, alternative, readings = [], [], [], [], []
        for number, (window, changed, own) in enumerate(batch):
            for reading in own:
                readings.append(reading)
                row += [number] * len(changed)
                place += range(len(changed))
                reference += window.tokens[changed].tolist()
                alternative += reading.tokens[changed].tolist()
        index = np.array([row, place, reference, alternative], dtype=np.int64)
        number, where, one, other = send(torch.from_numpy(index), model.device)
        found = torch.stack([likelihoods[number, where, one], likelihoods[number, where, other]])
        sums.add_masked(readings, found.double().cpu().numpy())
        tick(len(batch))


def _to_device(rows: Sequence[Tokens], model: TokenModel) -> Tensor:
    return send(torch.from_numpy(np.stack(rows).astype(np.int64)), model.device)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Unmasked:
    """What a pass without masks gives of one window: states [T, D], pooled [D], its loss."""

    states: Tensor | None
    pooled: Tensor | None
    loss: float | None


class _Sums:
    """Sums over frames and strands of what is found of each row."""

    def __init__(self, count: int, plan: Plan, readings: int) -> None:
        self._plan, self._readings = plan, readings
        self._scores = np.full((count, len(plan.scores)), np.nan)
        self._columns = {name: column for column, name in enumerate(plan.scores)}
        self._features: list[NDArray[np.float32] | None] = [None, None]
        self._count = count

    def add_unmasked(self, found: Sequence[tuple[Reading, _Unmasked | None, _Unmasked]]) -> None:
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

    def _add_states(self, found: Sequence[tuple[Reading, _Unmasked, _Unmasked]]) -> None:
        for reading, before, own in found:
            if TOKEN in self._plan.places:
                at = torch.from_numpy(reading.changed).to(own.states.device)
                means = [one.states[at].float().mean(0)[None] for one in (before, own)]
                self._add_distances([reading], compute_distances(*means), "_token")
            if FLAT in self._plan.places:
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
            self._add(reading, "llr", float((own[1] - own[0]).sum()))
            self._add(reading, "masked_loss_alt", float(-own[1].mean()))

    def _add(self, reading: Reading, name: str, value: float) -> None:
        column = self._columns.get(name)
        if column is not None:
            _add_to(self._scores[:, column], reading.rows, value / self._readings)

    def finish(self) -> Scored:
        """Return what was added."""
        return Scored(
            scores=self._scores, reference=self._features[0], alternative=self._features[1]
        )


def _add_to(sums: np.ndarray, rows: Sequence[int], value: float | np.ndarray) -> None:
    """Add a value to rows, of which NaN are 0; a row that is named twice gains it twice.

    At the end of a contig two frames of an allele may be one window.
    """
    for row in rows:
        sums[row] = np.nan_to_num(sums[row]) + value
