"""Whole training steps: ours, and `EsmForMaskedLM`, the same weights and batch for all.

Ours as `Trainer` makes them, compiled and plain. The peer gets what serves it best: SDPA, no mask,
autocast to bf16, fused AdamW, and `torch.compile` on its layers and on its head with the loss. A
side counts only if its first loss and the norm of its first gradient are those of ours. Where a
side runs out of memory, all start over with half the sequences.
"""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from own_step import OurStep, make_batch, make_settings
from torch import Tensor

from dnalm.devices import is_out_of_memory
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.parallel.sharding import Layout, arrange
from dnalm.training.attention import prefer_kernels
from dnalm.training.hardware import count_flops
from dnalm.training.optimizer import Optimizer
from on_gpu.ceilings import PRODUCTS, Ceiling, find_ceiling, find_square
from on_gpu.jobs import FIRST, GOALS
from on_gpu.machine import PRECISION, Machine, find_absent, listening, say
from on_gpu.models import draw_encoder, find_encoder
from on_gpu.profiling import write_profile
from on_gpu.results import Row

LOSS_TOLERANCE = 1e-2  # in bf16
NORM_TOLERANCE = 5e-2
MAX_REASON = 300  # letters of an error
COMPILED, PEER, PLAIN = "ours, compiled", "EsmForMaskedLM, compiled", "ours, plain"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A side's first loss and gradient norm, seconds of a step and of the first, and the rest."""

    loss: float
    norm: float
    seconds: float
    first: float
    gigabytes: float | None
    syncs: int | None
    note: str


def measure(machine: Machine, model: str, profiles: Path | None = None) -> Iterator[Row]:
    """Yield a model's ceilings, then a row of each side."""
    config = find_encoder(model)
    selected = make_settings(1, PRECISION).masking.count_slots(config.max_tokens)
    sequences = machine.choose_sequences(config, selected)
    while True:
        try:
            yield from _measure(machine, model, config, sequences, selected, profiles)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Not before the error is forgotten, which keeps what ran alive.
        machine.tidy()
        if sequences == 1:
            raise MemoryError(f"{model} does not fit, not even with one sequence")
        sequences //= 2
        say(f"{model}: out of memory, once more with B = {sequences}")


def _measure(
    machine: Machine,
    model: str,
    config: EncoderConfig,
    sequences: int,
    selected: int,
    profiles: Path | None,
) -> Iterator[Row]:
    shape = {"model": model, "sequences": sequences, "tokens": config.max_tokens}
    ceiling = find_ceiling(machine, config, sequences, selected)
    square = find_square(machine)
    for side, rate in ((PRODUCTS, ceiling.products), ("attention alone", ceiling.attention)):
        yield Row(
            part="ceilings",
            side=side,
            value=rate / 1e12,
            unit="TFLOP/s",
            tflops=rate / 1e12,
            share_of_square=rate / square,
            share_of_peak=machine.share(rate),
            facts={"kernels": ceiling.kernels},
            **shape,
        )
    with torch.device("meta"):
        flops = sequences * count_flops(Encoder(config), config.max_tokens, selected)
    tokens = sequences * config.max_tokens

    def rates(seconds: float) -> dict[str, float | None]:
        rate = flops / seconds
        return {
            "value": tokens / seconds,
            "unit": "tokens/s",
            "tflops": rate / 1e12,
            "share_of_products": rate / ceiling.products,
            "share_of_square": rate / square,
            "share_of_peak": machine.share(rate),
        }

    yield Row(
        part="ceilings", side="its products and attention, nothing else", **shape,
        **rates(ceiling.seconds),
    )  # fmt: skip
    reference: Measured | None = None
    for side in _list_sides(machine, model):
        if side == PEER and (absent := find_absent("transformers")):
            yield Row(part="steps", side=side, value=None, unit="tokens/s", note=absent, **shape)
            continue
        say(f"{model}: {side}, B = {sequences}")
        try:
            measured = _measure_side(machine, side, config, sequences, ceiling, model, profiles)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            say(traceback.format_exc())
            why = " ".join(f"failed, {type(error).__name__}: {error}".split())[:MAX_REASON]
            yield Row(part="steps", side=side, value=None, unit="", agrees=False, note=why, **shape)
            continue
        if side == COMPILED:
            reference = measured
        compared = {"agrees": None if math.isfinite(measured.loss) else False}
        if side != COMPILED and reference:
            losses = abs(measured.loss - reference.loss) / abs(reference.loss)
            norms = abs(measured.norm - reference.norm) / reference.norm
            compared = {
                # What is no number is within no tolerance.
                "agrees": losses <= LOSS_TOLERANCE and norms <= NORM_TOLERANCE,
                "check": f"first loss to {losses:.1e}, gradient norm to {norms:.1e}",
                "ratio": measured.seconds / reference.seconds,
            }
        yield Row(
            part="steps",
            side=side,
            **shape,
            **rates(measured.seconds),
            **compared,
            goal=GOALS.get(model) if side == COMPILED else None,
            gigabytes=measured.gigabytes,
            note=measured.note,
            facts={
                "loss": measured.loss,
                "gradient_norm": measured.norm,
                "seconds": measured.seconds,
                "first_seconds": measured.first,
                "host_waits": measured.syncs,
                "flops": flops,
            },
        )


def _list_sides(machine: Machine, model: str) -> list[str]:
    """Return the sides, the one first that the others are compared with."""
    return [COMPILED, PEER, *([PLAIN] if machine.tiny or model == FIRST else [])]


def _measure_side(
    machine: Machine,
    side: str,
    config: EncoderConfig,
    sequences: int,
    ceiling: Ceiling,
    model: str,
    profiles: Path | None,
) -> Measured:
    make = _make_peer if side == PEER else _make_ours
    machine.reset_peak()
    # As `Trainer` does on a GPU; the peer takes what torch chooses for it.
    chosen = machine.on_gpu and side != PEER
    kernels = prefer_kernels(list(ceiling.kernels)) if chosen else nullcontext()
    try:
        with kernels, listening() as heard:
            step = make(machine, config, sequences, compiled=side != PLAIN)
            loss, first = _take_first(machine, step)
            norm = float(step.gradient_norm)
            seconds = machine.time(step)
            gigabytes = machine.peak_gigabytes()
            syncs = machine.count_syncs(step)
            if not math.isfinite(float(step())):
                loss = math.nan
            notes = list(heard.said)
            if syncs:
                notes.append(f"the host waits for the device {syncs} times in a step")
            if profiles and side == COMPILED:
                stem = profiles.with_name(f"{profiles.name}.{model}")
                notes.append("profile: " + write_profile(step, stem, machine.wait))
        return Measured(
            loss=loss,
            norm=norm,
            seconds=seconds,
            first=first,
            gigabytes=gigabytes,
            syncs=syncs,
            note="; ".join(notes),
        )
    finally:
        step = None
        machine.tidy()


def _take_first(machine: Machine, step: Callable[[], Tensor]) -> tuple[float, float]:
    """Return the loss and the seconds of a first step, compilation included."""
    begun = time.perf_counter()
    loss = float(step())
    machine.wait()
    return loss, time.perf_counter() - begun


def _make_ours(
    machine: Machine, config: EncoderConfig, sequences: int, *, compiled: bool
) -> Callable[[], Tensor]:
    encoder = draw_encoder(config, machine.device)
    settings = make_settings(sequences, PRECISION)
    layout = Layout(shards=1, reshard=False, activation_checkpointing=False)
    options = {"precision": PRECISION, "compiled": compiled}
    encoder = arrange(encoder, layout, machine.group, **options)
    batch = make_batch(config, settings, config.max_tokens).to(machine.device)
    return OurStep(
        encoder, settings, batch, Optimizer(encoder, settings, machine.group, shards=1, steps=1)
    )


def _make_peer(
    machine: Machine, config: EncoderConfig, sequences: int, *, compiled: bool
) -> Callable[[], Tensor]:
    from esm_peer import PeerStep, make_peer

    state = draw_encoder(config, machine.device).state_dict()
    with machine.device:
        peer = make_peer(config, state)
    settings = make_settings(sequences, PRECISION)
    batch = make_batch(config, settings, config.max_tokens).to(machine.device)
    return PeerStep(peer, settings, batch, compiled=compiled)
