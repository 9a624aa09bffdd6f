"""Pooled embeddings of all layers beside `transformers`: same weights and rows, one CPU thread.

    python tests/bench/embed.py --output results/bench/embed.json

Sequences per second of processor time. Ours starts from letters. The peer, `EsmModel` without its
head, gets its tokens ready and padded and takes the mean of every layer's `hidden_states` over the
tokens that are neither pads nor <cls>: as people write it first, 32 rows at a time in the order of
the file, padded to their longest or to the model's maximum; and as well as one can, rows sorted by
length, at whichever of several batch sizes was the fastest here, also with `torch.compile`, whose
compilation is not counted. The two take turns, and a case
counts only if every number agrees. In bf16 the peer runs under autocast, and vectors agree where
the difference is within 2 % of their norm.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from comparison import Comparison, read_arguments, report, seconds_of, time_in_turns
from esm_peer import can_compile, make_peer, multiplies_bf16, say_bf16_is_left_out
from own_step import make_config, make_encoder
from torch import Tensor

from dnalm.benchmark.embedding.embed import EmbedConfig, embed
from dnalm.genome.kmers import Vocabulary, encode, to_codes

SIZES = {"layers": 4, "heads": 8, "width": 256, "ffn_width": 1024}
MAXIMUM = {"v1": 1000, "v2": 2048}
K, BATCH, ROUNDS = 6, 32, 5
BATCHES = (1, 2, 4, 8, 16, 32)  # of which the sorted peer takes the best
TINY = {"SIZES": {"layers": 2, "heads": 2, "width": 32, "ffn_width": 64}, "ROUNDS": 1}
TOLERANCE = {"float32": 1e-5, "bf16": 2e-2}  # of the largest number; of a vector's norm
CONFIG = EmbedConfig(
    layers="all",
    pooling="mean",
    centre_bases=24,
    strands="forward",
    precision="float32",
    dtype="float32",
    batch_tokens=65536,
    shard_rows=1024,
    too_long="refuse",
)


class Case(NamedTuple):
    """What the rows are and how the peer batches them; `limit` is the ratio that is wished for."""

    name: str
    rows: int
    bases: tuple[int, int]  # the shortest and the longest sequence
    limit: float
    to_maximum: bool = False
    best: bool = False  # the peer's rows are sorted, its batch size is the fastest
    precision: str = "float32"
    compiled: bool = False  # the peer, at its best batch size


# The paper's tasks have 200 to 1,000 bases, each task's rows all the same.
CASES = (
    Case("200-1,000 bases, sorted, best batch", 128, (200, 1000), 1.3, best=True),
    Case("300 bases, best batch", 128, (300, 300), 1.3, best=True),
    Case("200-1,000, sorted, best, bf16", 128, (200, 1000), 1.3, best=True, precision="bf16"),
    Case("200-1,000, sorted, best, compiled", 128, (200, 1000), 1.0, best=True, compiled=True),
    Case("300 bases, best batch, compiled", 128, (300, 300), 1.0, best=True, compiled=True),
    Case(
        *("200-1,000, sorted, best, compiled, bf16", 128, (200, 1000), 1.0),
        best=True,
        precision="bf16",
        compiled=True,
    ),
    Case("200-1,000 bases, in file order, 32", 128, (200, 1000), 1.2),
    Case("200-1,000 bases, padded to the maximum", 32, (200, 1000), 10.0, to_maximum=True),
)


def compare(form: str, case: Case, best_batches: dict[tuple, int]) -> Comparison:
    """Return our rows per CPU second beside the peer's.

    `best_batches` are those of the peer without compilation, for the next case of like rows.
    """
    torch._dynamo.reset()
    vocabulary, layers = Vocabulary(K, form), range(1, SIZES["layers"] + 1)
    config = make_config(form, **SIZES, max_tokens=MAXIMUM[form])
    encoder = make_encoder(config).eval()
    peer = make_peer(config, encoder.state_dict()).eval().esm
    sequences = draw_sequences(case)
    names = [str(row) for row in range(case.rows)]
    settings = replace(CONFIG, precision=case.precision)
    order = sorted(range(case.rows), key=lambda row: len(sequences[row])) if case.best else None
    rows = [sequences[row] for row in order] if order else sequences
    width = MAXIMUM[form] if case.to_maximum else None

    def run_ours() -> np.ndarray:
        return embed(encoder, vocabulary, sequences, names, layers, settings)

    def make_peer_run(batch: int, peer: Callable = peer) -> Callable[[], np.ndarray]:
        batches = pad_batches(rows, vocabulary, width, batch)
        half = torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16")

        def run_peer() -> np.ndarray:
            with half:
                pooled = [pool_as_users_do(peer, tokens, vocabulary) for tokens in batches]
            found = torch.cat(pooled, dim=1).float().numpy()
            return found if order is None else found[:, np.argsort(order)]

        return run_peer

    runs = {batch: make_peer_run(batch) for batch in (BATCHES if case.best else (BATCH,))}
    key = form, case.bases, case.precision
    if case.best and key not in best_batches:
        best_batches[key] = min(runs, key=lambda size: seconds_of(runs[size]))
    batch = best_batches[key] if case.best else BATCH
    run_peer = runs[batch]
    if case.compiled:
        several = len({len(sequence) for sequence in sequences}) > 1
        run_peer = make_peer_run(batch, torch.compile(peer, dynamic=several))
    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    return Comparison(
        case=f"{form}, {case.name}",
        ours=case.rows / our_seconds,
        peer=case.rows / peer_seconds,
        unit="rows per CPU second",
        correct=agree(run_ours(), run_peer(), case.precision),
        limit=case.limit,
    )


def agree(ours: np.ndarray, theirs: np.ndarray, precision: str) -> bool:
    """Return whether the vectors [L, N, D] of both sides agree."""
    difference = np.abs(ours - theirs).max()
    if precision == "bf16":
        norms = np.linalg.norm(theirs, axis=-1)
        difference = (np.linalg.norm(ours - theirs, axis=-1) / norms).max()
    return bool(difference <= TOLERANCE[precision])


def draw_sequences(case: Case) -> list[str]:
    generator = np.random.default_rng(1)
    shortest, longest = case.bases
    lengths = generator.integers(shortest, longest + 1, case.rows)
    return ["".join(generator.choice(list("ACGT"), length)) for length in lengths]


def pad_batches(
    sequences: Sequence[str], vocabulary: Vocabulary, width: int | None, batch: int
) -> list[Tensor]:
    """Return the tokens of each `batch` rows, int64[B, T], padded to `width` or to the longest."""
    rows = [
        torch.from_numpy(encode(to_codes(sequence), vocabulary).astype(np.int64))
        for sequence in sequences
    ]
    batches = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        tokens = torch.full((len(some), width or max(map(len, some))), vocabulary.pad)
        for place, row in enumerate(some):
            tokens[place, : len(row)] = row
        batches.append(tokens)
    return batches


@torch.inference_mode()
def pool_as_users_do(peer: Callable[..., object], tokens: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return the masked means of all layers' hidden states, float32 [L, B, D]."""
    real = tokens != vocabulary.pad
    # Without a pad it gets no mask, which is its fastest way.
    mask = None if real.all() else real.long()
    hidden = peer(tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    chosen = (real & (tokens != vocabulary.cls)).unsqueeze(-1)
    return torch.stack([(states * chosen).sum(1) / chosen.sum(1) for states in hidden[1:]])


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    cases = [case for case in CASES if not case.compiled or can_compile()]
    if not arguments.tiny and not multiplies_bf16():
        say_bf16_is_left_out()
        cases = [case for case in cases if case.precision != "bf16"]
    best: dict[tuple, int] = {}
    rows = [compare(form, case, best) for form in MAXIMUM for case in cases]
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
