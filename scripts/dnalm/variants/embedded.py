"""Scores of variants by models that are not ours, whose tokens may be of any length.

A window is text here, and a token is told by its id and the bases that it covers. Shapes: T tokens,
S some of them, D width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnalm.devices import compute_in
from dnalm.files import read_facts
from dnalm.genome.kmers import to_sequence
from dnalm.model.embedders.contract import embed_checked
from dnalm.model.embedders.logits import (
    compute_likelihoods,
    take_own,
    tell_apart,
    tokenize_checked,
)
from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.spans import weigh_spans
from dnalm.model.heads import weigh_in_float64
from dnalm.variants.readings import Plan, Reading, Window, list_masked, list_unmasked
from dnalm.variants.score_table import FLAT, TOKEN
from dnalm.variants.sums import Sums, Unmasked

FACTS = ("layers", "width", "max_bases", "max_tokens", "logits", "weights_sha256", "licence")
RATIOS = ("llr", "llr_own_tokens", "masked_loss_alt")  # which masked windows tell


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """An embedder by how it is opened, and the file in which `describe_embedder` told its facts."""

    entry: Mapping[str, Any]
    described: str

    def read_facts(self) -> dict[str, Any]:
        """Return what is known of the embedder: layers, width, limits, whether it has logits."""
        return read_facts(self.described, FACTS)

    def facts(self) -> dict[str, Any]:
        """Return what decides the model's numbers."""
        return {
            "model": {"embedder": dict(self.entry)},
            "weights_sha256": self.read_facts()["weights_sha256"],
        }

    def open(self, device: str, layer: int, precision: str) -> "EmbedderModel":
        """Return the embedder on a device."""
        embedder = open_embedder(self.entry, device)
        name = name_embedder(self.entry)
        return EmbedderModel(embedder, name, layer, precision, torch.device(device))


class EmbedderModel:
    """An embedder that reads windows; `layer` is 1 … L, `precision` float32, tf32 or bf16."""

    def __init__(
        self, embedder: Any, name: str, layer: int, precision: str, device: torch.device
    ) -> None:
        self.embedder, self.name, self.layer = embedder, name, layer
        self.precision, self.device, self.width = precision, device, embedder.width

    def read(self, texts: Sequence[str], plan: Plan) -> list[Unmasked]:
        """Return what a plan asks for of windows in which nothing is masked."""
        found: list[dict[str, Any]] = [
            {"states": None, "pooled": None, "loss": None, "spans": None} for _ in texts
        ]
        rows = [f"{row} of a batch of windows" for row in range(len(texts))]
        if plan.states:
            with compute_in(self.precision, self.device):
                answers = embed_checked(self.embedder, self.name, texts, rows)
            for own, text, (states, spans) in zip(found, texts, answers, strict=True):
                chosen = states[self.layer - 1 : self.layer]
                weights = torch.from_numpy(weigh_spans(spans, text, plan.pooling, 0))
                own["pooled"] = weigh_in_float64(chosen, weights[None].to(chosen.device))[0]
                if {TOKEN, FLAT} & plan.places:
                    own |= {"states": chosen[0].clone(), "spans": spans}
        if plan.losses:
            losses = self._compute_losses(texts)
            for own, loss in zip(found, losses, strict=True):
                own["loss"] = loss
        return [Unmasked(**own) for own in found]

    def _compute_losses(self, texts: Sequence[str]) -> list[float]:
        """Return the mean -ln p of each window's own tokens of real bases."""
        tokens = self.tokenize(texts)
        losses = []
        likelihoods = self.read_likelihoods(texts, [()] * len(texts))
        for text, (ids, spans), one in zip(texts, tokens, likelihoods, strict=True):
            positions = np.flatnonzero(weigh_spans(spans, text, "mean", 0))
            losses.append(float(-take_own(one, ids, positions).double().mean()))
        return losses

    def tokenize(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return ids and spans of windows."""
        return tokenize_checked(self.embedder, self.name, texts)

    def read_likelihoods(
        self, texts: Sequence[str], masked: Sequence[Sequence[int]]
    ) -> list[Tensor]:
        """Return ln p [T, vocabulary] of windows, with the tokens at `masked` masked."""
        with compute_in(self.precision, self.device):
            return compute_likelihoods(self.embedder, self.name, texts, masked)


def read_embedded(
    model: EmbedderModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: Sums,
    tick: Callable[[int], object],
) -> None:
    """Read windows, `size` at a time, and add what is found of their alleles to `sums`."""
    passes = [(window, reading) for window in windows for reading in list_unmasked(window, plan)]
    before: Unmasked | None = None  # the last reference, whose alleles may fill several batches
    for at in range(0, len(passes), size):
        batch = passes[at : at + size]
        texts = [to_sequence((reading or window).tokens) for window, reading in batch]
        found = []
        for (_, reading), own in zip(batch, model.read(texts, plan), strict=True):
            if reading is None:
                before = own
            else:
                found.append((reading, before, own))
        sums.add_unmasked(found)
        tick(len(batch))
    for at in range(0, len(windows), size):
        _read_masked(model, windows[at : at + size], size, plan, sums, tick)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    """One allele of a reading: its window, the ids of its tokens, and which of them are masked."""

    text: str
    ids: np.ndarray
    masked: np.ndarray

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        return self.text, tuple(self.masked.tolist())


def _read_masked(
    model: EmbedderModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: Sums,
    tick: Callable[[int], object],
) -> None:
    """Add what masked windows tell: each allele's own, with the tokens that the other lacks masked.

    Where both windows have tokens of the same bases that is one and the same masked window.
    """
    asked: list[tuple[Reading, _Side, _Side, bool]] = []
    count = 0
    for window in windows:
        masks = list_masked(window, plan)
        count += len(masks)
        readings = [reading for own in masks.values() for reading in own]
        if not readings:
            continue
        texts = [to_sequence(one.tokens) for one in (window, *readings)]
        reference, *others = model.tokenize(texts)
        for reading, text, other in zip(readings, texts[1:], others, strict=True):
            mine, theirs = tell_apart(reference, other)
            if not len(mine) or not len(theirs):
                sums.lose(reading, RATIOS)  # to this model both alleles are one
                continue
            equal = np.array_equal(reference[1], other[1])
            before = _Side(text=texts[0], ids=reference[0], masked=mine)
            after = _Side(text=texts[0] if equal else text, ids=other[0], masked=theirs)
            asked.append((reading, before, after, equal))
    passes = list(dict.fromkeys(side.key for _, *sides, _ in asked for side in sides))
    kept: dict[tuple, Tensor] = {}
    for at in range(0, len(passes), size):
        batch = passes[at : at + size]
        found = model.read_likelihoods(*zip(*batch, strict=True))
        for key, likelihoods in zip(batch, found, strict=True):
            kept[key] = likelihoods[list(key[1])]
    for reading, before, after, equal in asked:
        own = [_take(kept[side.key], side) for side in (before, after)]
        sums.add_likelihoods(reading, *own, equal=equal)
    tick(count)


def _take(likelihoods: Tensor, side: _Side) -> np.ndarray:
    """Return ln p [S] of a side's own masked tokens."""
    places = np.arange(len(side.masked))
    return take_own(likelihoods, side.ids[side.masked], places).double().cpu().numpy()
