"""Pooled embeddings of ten layers: the library's, and `EsmModel` fed rows sorted by length.

The same weights, rows, layers and batch size, in every precision. Ours starts from letters; the
peer gets tokens, sorts, pads and pools them, without a mask where a batch has no pad. A precision
counts only if the vectors of both sides agree as closely as its arithmetic can.

Shapes: N rows, B batch, T tokens, D width, L layers.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnalm.benchmark.embedding.embed import EmbedConfig, choose_layers, embed
from dnalm.devices import send
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from on_gpu.machine import Machine, find_absent, say
from on_gpu.models import describe_run, draw_encoder, find_encoder, read_config
from on_gpu.results import Row

BASES, TINY_BASES = (300, 1000), (30, 100)
ROWS, TINY_ROWS = 20_000, 40
LEAST_ROWS, FIRST_ROWS = 512, 1024
SECONDS = 5.0  # of our side in each precision
# Of the vectors' distance, relative to their length. float32: both sides round alike; tf32: factors
# of 11 bits; bf16: of 8.
TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "bf16": 3e-2}


def measure(machine: Machine, model: str) -> Iterator[Row]:
    """Yield two rows for each precision: ours and the peer's."""
    config, run = find_encoder(model), describe_run(model)
    vocabulary = Vocabulary(run["k"], run["vocabulary"])
    section = {key: value for key, value in read_config()["embed"].items() if key != "export"}
    settings = EmbedConfig(**section)
    layers = choose_layers(settings.layers, config.layers)
    encoder = draw_encoder(config, machine.device).eval()
    peer = _make_peer(machine, config, encoder)
    sequences = _draw(machine)
    for precision in TOLERANCES:
        chosen = replace(settings, precision=precision)

        def run_ours(count: int, chosen: EmbedConfig = chosen) -> np.ndarray:
            rows = sequences[:count]
            names = [str(row) for row in range(count)]
            return embed(encoder, vocabulary, rows, names, layers, chosen)

        def run_peer(count: int, chosen: EmbedConfig = chosen) -> np.ndarray:
            return _embed_as_users_do(machine, peer, vocabulary, sequences[:count], layers, chosen)

        first = min(FIRST_ROWS, len(sequences))
        run_ours(first)
        _, seconds = _clock(machine, run_ours, first)
        fitting = int(SECONDS * first / seconds)
        count = len(sequences) if machine.tiny else max(LEAST_ROWS, min(ROWS, fitting))
        say(f"{model}: embeddings of {count:,} rows in {precision}")
        machine.reset_peak()
        ours, our_seconds = _clock(machine, run_ours, count)
        bases = sum(map(len, sequences[:count]))
        shared = {"part": "embedding", "model": model, "unit": "rows/s"}
        facts = {"rows": count, "bases": bases, "layers": layers, "precision": precision}
        yield Row(
            side=f"ours, {precision}",
            value=count / our_seconds,
            gigabytes=machine.peak_gigabytes(),
            facts=facts,
            **shared,
        )
        if peer is None:
            side, absent = f"EsmModel, {precision}", find_absent("transformers")
            yield Row(side=side, value=None, note=absent, **shared)
            continue
        run_peer(first)
        machine.reset_peak()
        theirs, their_seconds = _clock(machine, run_peer, count)
        distance = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        yield Row(
            side=f"EsmModel sorted by length, {precision}",
            value=count / their_seconds,
            ratio=their_seconds / our_seconds,
            gigabytes=machine.peak_gigabytes(),
            agrees=distance <= TOLERANCES[precision],
            check=f"vectors to {distance:.1e}, allowed {TOLERANCES[precision]:g}",
            facts=facts,
            **shared,
        )


def _make_peer(machine: Machine, config: Any, encoder: Any) -> Any:
    if find_absent("transformers"):
        return None
    from esm_peer import make_peer

    with machine.device:
        return make_peer(config, encoder.state_dict()).eval().esm


def _draw(machine: Machine) -> list[str]:
    generator = np.random.default_rng(1)
    shortest, longest = TINY_BASES if machine.tiny else BASES
    lengths = generator.integers(shortest, longest + 1, TINY_ROWS if machine.tiny else ROWS)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    return [letters[generator.integers(0, 4, length)].tobytes().decode() for length in lengths]


def _clock(
    machine: Machine, function: Callable[[int], np.ndarray], count: int
) -> tuple[np.ndarray, float]:
    machine.wait()
    begun = time.perf_counter()
    found = function(count)
    machine.wait()
    return found, time.perf_counter() - begun


@contextmanager
def _arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@torch.inference_mode()
def _embed_as_users_do(
    machine: Machine,
    peer: Callable[..., Any],
    vocabulary: Vocabulary,
    sequences: Sequence[str],
    layers: Sequence[int],
    config: EmbedConfig,
) -> np.ndarray:
    """Return the masked means of some layers' hidden states, float32 [L, N, D]."""
    rows = [encode(to_codes(sequence), vocabulary).astype(np.int64) for sequence in sequences]
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    found: list[Tensor] = []
    start = 0
    with _arithmetic(machine.device, config.precision):
        while start < len(order):
            width = len(rows[order[start]])
            some = order[start : start + max(1, config.batch_tokens // width)]
            tokens = np.full((len(some), width), vocabulary.pad)
            for place, row in enumerate(some):
                tokens[place, : len(rows[row])] = rows[row]
            padded = bool((tokens == vocabulary.pad).any())
            found.append(
                _pool(
                    peer, send(torch.from_numpy(tokens), machine.device), vocabulary, layers, padded
                )
            )
            start += len(some)
    pooled = torch.cat(found, dim=1).cpu().numpy()
    back = np.empty_like(pooled)
    back[:, order] = pooled
    return back


def _pool(
    peer: Callable[..., Any], tokens: Tensor, vocabulary: Vocabulary, layers: Sequence[int],
    padded: bool,
) -> Tensor:  # fmt: skip
    real = tokens != vocabulary.pad
    mask = real.long() if padded else None
    hidden = peer(tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    chosen = (real & (tokens != vocabulary.cls)).float().unsqueeze(-1)
    count = chosen.sum(1)
    return torch.stack([(hidden[layer].float() * chosen).sum(1) / count for layer in layers])
