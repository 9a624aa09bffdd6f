"""Float32 products by the library that is chosen on this processor beside the other one.

    python tests/bench/products.py --output results/bench/products.json

Tokens per second of processor time through blocks of an encoder, one CPU thread, both libraries in
turns: oneDNN and torch's own (MKL). Ours is what `dnalm.model.linear` chooses by the processor's
instructions, the peer what it does not. A case counts only if the last states agree to 1e-5 of
their norm, in training gradients, too.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import torch
from comparison import Comparison, read_arguments, report, time_in_turns
from own_step import make_config, make_encoder
from torch import Tensor

from dnalm.model import linear

TOKENS, ROUNDS = 512, 12
TINY = {"TOKENS": 128, "ROUNDS": 1}
TOLERANCE = 1e-5


class Case(NamedTuple):
    """Blocks and rows of tokens; wider ones have fewer, so that all take about as long."""

    form: str
    width: int
    layers: int
    rows: int
    training: bool


SIZES = ((128, 4, 8), (256, 4, 2), (512, 2, 1), (1024, 1, 1))
CASES = [
    Case(form, *size, training)
    for training in (True, False)
    for form in ("v1", "v2")
    for size in SIZES
]


def compare(case: Case) -> Comparison:
    """Return tokens per CPU second by the library that is chosen, and by the other."""
    config = make_config(
        case.form, layers=case.layers, heads=case.width // 64, width=case.width,
        ffn_width=4 * case.width, max_tokens=TOKENS,
    )  # fmt: skip
    encoder = make_encoder(config).train(case.training)
    tokens = torch.randint(
        10, 4000, (case.rows, TOKENS), generator=torch.Generator().manual_seed(1)
    )

    def run() -> list[Tensor]:
        with torch.inference_mode(not case.training):
            states = encoder.compute_states(tokens, {case.layers}, padded=False)[case.layers]
            if not case.training:
                return [states]
            encoder.zero_grad()
            states.square().sum().backward()
        # Together, as the gradient of the keys' bias is 0 but for rounding. The head is not run.
        found = [one.grad.flatten() for one in encoder.parameters() if one.grad is not None]
        return [states.detach(), torch.cat(found)]

    chosen = linear._has_avx512()
    ours, peer = (made_with(onednn, run) for onednn in (chosen, not chosen))
    our_seconds, peer_seconds = time_in_turns(ours, peer, ROUNDS)
    one, other = ours(), peer()
    names = ("oneDNN", "torch's own") if chosen else ("torch's own", "oneDNN")
    what = "forward and backward" if case.training else "forward"
    return Comparison(
        case=f"{case.form}, width {case.width}, {what}, {names[0]} beside {names[1]}",
        ours=tokens.numel() / our_seconds,
        peer=tokens.numel() / peer_seconds,
        unit="tokens per CPU second",
        correct=all(
            bool((a - b).norm() <= TOLERANCE * b.norm()) for a, b in zip(one, other, strict=True)
        ),
        limit=0.95,
    )


def made_with(onednn: bool, run: Callable[[], list[Tensor]]) -> Callable[[], list[Tensor]]:
    """Return `run` with every product by oneDNN, or none."""

    def run_with() -> list[Tensor]:
        with patch.object(linear, "_has_avx512", lambda: onednn):
            return run()

    return run_with


def main() -> int:
    arguments = read_arguments(__doc__)
    torch.set_num_threads(1)
    if arguments.tiny:
        globals().update(TINY)
    return report([compare(case) for case in CASES], arguments.output)


if __name__ == "__main__":
    sys.exit(main())
