"""Pooled embeddings of all layers beside `transformers`: same weights and rows, one CPU thread.

    python tests/bench/embed.py --output results/bench/embed.json

Sequences per second of processor time. Ours starts from letters. The peer, `EsmModel` without its
head, gets its tokens ready and padded, 32 rows at a time in the order of the file, and takes the
mean of every layer's `hidden_states` over the tokens that are neither pads nor <cls>. The two take
turns, and a case counts only if every number agrees.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from comparison import Comparison, read_output, report, time_in_turns
from esm_peer import make_peer
from own_step import make_config, make_encoder
from torch import Tensor

from dnalm.benchmark.embedding.embed import EmbedConfig, embed
from dnalm.genome.kmers import Vocabulary, encode, to_codes

SIZES = {"layers": 4, "heads": 8, "width": 256, "ffn_width": 1024}
MAXIMUM = {"v1": 1000, "v2": 2048}
K, BATCH, ROUNDS = 6, 32, 5
TOLERANCE = 1e-5
CONFIG = EmbedConfig(
    layers="all",
    pooling="mean",
    centre_bases=24,
    strands="forward",
    precision="float32",
    dtype="float32",
    batch_tokens=65536,
    shard_rows=1024,
)


class Case(NamedTuple):
    """What the rows are and how the peer pads them; `limit` is the ratio that is wished for."""

    name: str
    rows: int
    bases: tuple[int, int]  # the shortest and the longest sequence
    to_maximum: bool
    limit: float


# The paper's tasks have 200 to 1,000 bases, each task's rows all the same.
CASES = (
    Case("200-1,000 bases, padded to the longest", 128, (200, 1000), False, 1.2),
    Case("300 bases, no pads", 128, (300, 300), False, 1.0),
    Case("200-1,000 bases, padded to the maximum", 32, (200, 1000), True, 10.0),
)


def compare(form: str, case: Case) -> Comparison:
    """Return our rows per CPU second beside the peer's."""
    vocabulary, layers = Vocabulary(K, form), range(1, SIZES["layers"] + 1)
    config = make_config(form, **SIZES, max_tokens=MAXIMUM[form])
    encoder = make_encoder(config).eval()
    peer = make_peer(config, encoder.state_dict()).eval().esm
    sequences = draw_sequences(case)
    names = [str(row) for row in range(case.rows)]
    batches = pad_batches(sequences, vocabulary, MAXIMUM[form] if case.to_maximum else None)

    def run_ours() -> np.ndarray:
        return embed(encoder, vocabulary, sequences, names, layers, CONFIG)

    def run_peer() -> np.ndarray:
        pooled = [pool_as_users_do(peer, tokens, vocabulary) for tokens in batches]
        return torch.cat(pooled, dim=1).numpy()

    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    difference = float(np.abs(run_ours() - run_peer()).max())
    return Comparison(
        case=f"{form}, {case.name}",
        ours=case.rows / our_seconds,
        peer=case.rows / peer_seconds,
        unit="rows per CPU second",
        correct=difference <= TOLERANCE,
        limit=case.limit,
    )


def draw_sequences(case: Case) -> list[str]:
    generator = np.random.default_rng(1)
    shortest, longest = case.bases
    lengths = generator.integers(shortest, longest + 1, case.rows)
    return ["".join(generator.choice(list("ACGT"), length)) for length in lengths]


def pad_batches(
    sequences: Sequence[str], vocabulary: Vocabulary, width: int | None
) -> list[Tensor]:
    """Return the tokens of each 32 rows, int64[B, T], padded to `width` or to the longest."""
    rows = [
        torch.from_numpy(encode(to_codes(sequence), vocabulary).astype(np.int64))
        for sequence in sequences
    ]
    batches = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
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
    output = read_output(__doc__)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    return report([compare(form, case) for form in MAXIMUM for case in CASES], output)


if __name__ == "__main__":
    sys.exit(main())
