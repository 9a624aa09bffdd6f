"""Passes of windows through a language model, and the scores of alleles that follow from them.

Shapes: B batch, T tokens with <cls>, S changed tokens, D width, A alleles.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dnalm.devices import send
from dnalm.model.heads import pooling_weights, weigh_in_float64
from dnalm.model.token_batches import limit_tokens
from dnalm.variants.alleles import Allele
from dnalm.variants.embedded import EmbedderModel, read_embedded
from dnalm.variants.language_model import TokenModel
from dnalm.variants.readings import (
    Plan,
    Tokens,
    Window,
    collect_windows,
    list_masked,
    list_unmasked,
)
from dnalm.variants.score_table import FLAT, TOKEN
from dnalm.variants.sums import Scored, Sums, Unmasked
from dnalm.variants.windows import Windows

Tick = Callable[[int], object]


@torch.inference_mode()
def score_alleles(
    model: TokenModel | EmbedderModel,
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
    sums = Sums(count, plan, windows.config.readings)
    by_length: dict[tuple[int, ...], list[Window]] = {}
    for window in collected:
        lengths = {len(window.tokens)} | {len(one.tokens) for one in window.readings.values()}
        by_length.setdefault(tuple(sorted(lengths)), []).append(window)
    for lengths, own in sorted(by_length.items()):
        size = max(1, limit_tokens(batch_tokens, model.device) // lengths[-1])
        if len(lengths) > 1:  # of an indel near N, rare: each window in a batch of its own
            size = 1
        if isinstance(model, EmbedderModel):
            read_embedded(model, own, size, plan, sums, tick)
            continue
        _read_unmasked(model, own, size, plan, sums, tick)
        _read_masked(model, own, size, plan, sums, tick)
    return sums.finish()


def _read_unmasked(
    model: TokenModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: Sums,
    tick: Tick,
) -> None:
    passes = [(window, reading) for window in windows for reading in list_unmasked(window, plan)]
    before: Unmasked | None = None  # the last reference, whose alleles may fill several batches
    for at in range(0, len(passes), size):
        batch = passes[at : at + size]
        tokens = _to_device([(reading or window).tokens for window, reading in batch], model)
        states, losses = model.read(tokens, states=plan.states, losses=plan.losses)
        pooled = None
        if states is not None:
            weights = pooling_weights(tokens, model.vocabulary, plan.pooling)
            pooled = weigh_in_float64(states, weights)
        found = []
        means = [None] * len(batch) if losses is None else losses.double().cpu().tolist()
        for row, (_, reading) in enumerate(batch):
            own = Unmasked(
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
            before = Unmasked(states=keep, pooled=before.pooled, loss=before.loss)
        tick(len(batch))


def _read_masked(
    model: TokenModel,
    windows: Sequence[Window],
    size: int,
    plan: Plan,
    sums: Sums,
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
