"""Counting attention above thresholds beside the forward pass alone, and whole matrices.

    python tests/bench/attention.py --output results/bench/attention.json

Windows per second of processor time, one CPU thread, thresholds 0.3 and 0.01. The first peer is our
own forward pass to the same layer, which counts nothing: a ratio of 0.77 is 1.3 times its cost.
The second is `transformers` with eager attention, whose whole matrices are compared and summed as
one writes it, and the third the same in one graph of `torch.compile`. The sides take turns, and a
case counts only if all counts are those of the whole matrices, but for weights nearer to a
threshold than rounding.
"""

import logging
import sys
from collections.abc import Iterable
from typing import NamedTuple

import torch
from comparison import Comparison, read_arguments, report, time_in_turns
from esm_peer import can_compile, make_peer
from own_step import make_config, make_encoder
from torch import Tensor

from dnalm.interpretation.attention_counts import AttentionCounts, count_attention
from dnalm.model.encoder import Encoder

THRESHOLDS, ROUNDS = (0.3, 0.01), 3
ROUNDING = 1e-3  # of a weight: the angles of 2,000 positions differ by 1e-4 between both codes
UNDECIDED = 0.01  # of all pairs, at most, may lie so near to a threshold
SHARPER = 2  # times the queries of random weights, whose attention is nearly uniform


class Case(NamedTuple):
    """Sizes of the model and the window; `limit` is the ratio that is wished for."""

    form: str
    layers: int
    heads: int
    head_width: int
    tokens: int
    limit: float


CASES = (
    Case("v1", 2, 24, 64, 1000, 1 / 1.3),
    Case("v2", 2, 24, 64, 2000, 1 / 1.5),
    Case("v1", 4, 4, 32, 1000, 0.0),
    Case("v2", 4, 4, 32, 1000, 0.0),
)
TINY = {"CASES": (Case("v1", 2, 2, 8, 40, 0.0), Case("v2", 2, 2, 8, 40, 0.0)), "ROUNDS": 1}


def compare(case: Case) -> list[Comparison]:
    """Return our windows per CPU second beside the forward pass and beside whole matrices."""
    width = case.heads * case.head_width
    config = make_config(
        case.form,
        layers=case.layers,
        heads=case.heads,
        width=width,
        ffn_width=4 * width,
        max_tokens=2048,
    )
    encoder = make_encoder(config).eval()
    for block in encoder.blocks:
        block.attention.query.weight.data *= SHARPER
    tokens = torch.randint(4, 4100, (1, case.tokens), generator=torch.Generator().manual_seed(1))
    tokens[:, 0] = 3  # <cls>
    peer = make_peer(config, encoder.state_dict()).eval().esm
    peer.set_attn_implementation("eager")

    def count() -> AttentionCounts:
        return count_attention(encoder, tokens, THRESHOLDS, padded=False)

    def pass_forward() -> Tensor:
        with torch.inference_mode():
            return next(iter(encoder.compute_states(tokens, [case.layers], padded=False)))

    correct = lies_between(count(), whole_matrices(peer, tokens))
    sides = [
        ("the forward pass alone", pass_forward, case.limit),
        ("whole matrices", lambda: count_whole(whole_matrices(peer, tokens), 1.0), 1.0),
    ]
    if can_compile():
        graph = torch.compile(lambda: sum_above(peer(tokens, output_attentions=True).attentions))

        def count_compiled() -> tuple[Tensor, Tensor]:
            with torch.inference_mode():
                return graph()

        received, sent = count_compiled()
        theirs = AttentionCounts(received=received, sent=sent)
        correct &= lies_between(theirs, whole_matrices(peer, tokens))
        sides.append(("whole matrices, compiled", count_compiled, 1.0))
    rows = []
    for name, side, limit in sides:
        ours, theirs = time_in_turns(count, side, ROUNDS)
        rows.append(
            Comparison(
                case=f"{describe(case, encoder)}, beside {name}",
                ours=1 / ours,
                peer=1 / theirs,
                unit="windows per CPU second",
                correct=correct,
                limit=limit,
            )
        )
    return rows


def describe(case: Case, encoder: Encoder) -> str:
    return f"{case.form}, {case.heads} x {case.head_width}, {case.tokens:,} tokens"


@torch.inference_mode()
def whole_matrices(peer: torch.nn.Module, tokens: Tensor) -> list[Tensor]:
    """Return the attention of every layer, float32 [1, H, T, T] each."""
    return list(peer(tokens, output_attentions=True).attentions)


def count_whole(matrices: list[Tensor], factor: float) -> AttentionCounts:
    """Return the counts of whole matrices above each threshold x `factor`, without `<cls>`."""
    received, sent = [], []
    for threshold in THRESHOLDS:
        above = [weights > threshold * factor for weights in matrices]
        for own in above:
            own[..., 0, :] = own[..., 0] = False
        received.append(torch.stack([own.sum(-2) for own in above], dim=1))
        sent.append(torch.stack([own.sum(-1) for own in above], dim=1))
    return AttentionCounts(received=torch.stack(received, 1), sent=torch.stack(sent, 1))


def sum_above(matrices: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the same counts, received and sent, each [1, thresholds, L, H, T]."""
    received, sent = [], []
    for weights in matrices:
        others = weights.clone()
        others[..., 0, :] = others[..., 0] = 0.0
        above = torch.stack([others > threshold for threshold in THRESHOLDS], dim=1).float()
        received.append(above.sum(-2))
        sent.append(above.sum(-1))
    return torch.stack(received, 2), torch.stack(sent, 2)


def lies_between(found: AttentionCounts, matrices: list[Tensor]) -> bool:
    """Return whether all counts are those of weights to within `ROUNDING`, and few are in doubt."""
    least, most = count_whole(matrices, 1 + ROUNDING), count_whole(matrices, 1 - ROUNDING)
    pairs = (
        (getattr(least, name), getattr(found, name), getattr(most, name))
        for name in ("received", "sent")
    )
    within = all(bool(((low <= own) & (own <= high)).all()) for low, own, high in pairs)
    certain, possible = int(least.received.sum()), int(most.received.sum())
    return within and certain > 0 and possible - certain <= UNDECIDED * possible


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    return report([row for case in CASES for row in compare(case)], arguments.output)


if __name__ == "__main__":
    sys.exit(main())
