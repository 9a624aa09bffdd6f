"""One training step against `transformers.EsmForMaskedLM`: same weights, batch and optimiser.

    python tests/bench/train.py --output results/bench/train.json

Tokens per second of processor time of one CPU thread, the two sides in turns. A step is forward,
masked loss, backward, the bound on the gradient's norm and fused Adam: ours as `Trainer` makes it,
the peer's with labels of −100, `clip_grad_norm_` and `torch.optim.AdamW`: as it is, with
`torch.compile`, and compiled with its head at selected positions alone, which the library has no
option for. A case counts only if, in the same run, both sides have the same loss and
gradients before their first update, and the same loss after their last.
"""

import logging
import sys

import torch
from comparison import Comparison, read_arguments, report, time_in_turns
from esm_peer import (
    PeerStep,
    agree_all,
    make_peer,
    multiplies_bf16,
    say_bf16_is_left_out,
)
from own_step import OurStep, make_batch, make_config, make_encoder, make_settings

from dnalm.model.encoder import EncoderConfig
from dnalm.parallel.distributed import Group
from dnalm.training.optimizer import Optimizer

# A model that a CPU trains in a day, and the one of tests/real.yaml.
LARGE = {"layers": 6, "heads": 8, "width": 512, "ffn_width": 2048, "max_tokens": 256}
SMALL = {"layers": 4, "heads": 4, "width": 128, "ffn_width": 512, "max_tokens": 128}
LARGE_BATCH, SMALL_BATCH = 8, 16
LARGE_ROUNDS, SMALL_ROUNDS = 5, 15
# Beside the peer; and bf16 beside float32.
LARGE_LIMIT, SMALL_LIMIT, BF16_LIMIT = 1.1, 1.5, 1.5
UNIT = "tokens per CPU second"
TOLERANCE = 1e-4  # of the loss, and of the norm of a gradient
BF16_TOLERANCE = 1e-2
TINY_SIZES = {"layers": 2, "heads": 2, "width": 32, "ffn_width": 64, "max_tokens": 24}
TINY = {"LARGE": TINY_SIZES, "SMALL": TINY_SIZES, "LARGE_ROUNDS": 1, "SMALL_ROUNDS": 1}


def compare_step(
    case: str,
    config: EncoderConfig,
    sequences: int,
    rounds: int,
    limit: float,
    *,
    precision: str = "float32",
    compiled: bool = False,
    selected: bool = False,
) -> Comparison:
    """Return our tokens per CPU second beside the peer's, both in one precision.

    The peer may be compiled, ours is not; where `torch.compile` finds no compiler it does not run.
    In bf16 losses are compared, not gradients, whose rounding differs.
    """
    torch._dynamo.reset()
    ours = make_step(config, sequences, precision)
    state = {name: tensor.clone() for name, tensor in ours.encoder.state_dict().items()}
    model = make_peer(config, state)
    settings = make_settings(sequences, precision)
    peer = PeerStep(model, settings, ours.batch, compiled=compiled, selected=selected)
    tolerance = TOLERANCE if precision == "float32" else BF16_TOLERANCE
    try:
        theirs = peer.backward()
    except RuntimeError as error:  # of the compiler, which need not be there
        if not compiled:
            raise
        sys.stderr.write(f"{case}: not run, {str(error).splitlines()[0]}\n")
        speed = sequences * config.max_tokens / time_in_turns(ours, lambda: None, rounds)[0]
        return Comparison(case=case, ours=speed, peer=None, unit=UNIT, correct=True, limit=limit)
    correct = close(ours.backward(), theirs, tolerance)
    if precision == "float32":
        correct &= agree_all(ours.gradients(), peer.gradients(), tolerance)
    forget(ours)
    seconds = time_in_turns(ours, peer, rounds)
    correct &= close(ours.backward(), peer.backward(), tolerance)
    return compared(case, sequences * config.max_tokens, seconds, correct, limit)


def compare_precision(
    case: str, config: EncoderConfig, sequences: int, rounds: int, limit: float
) -> Comparison:
    """Return our tokens per CPU second in bf16 beside ours in float32."""
    half, whole = (make_step(config, sequences, precision) for precision in ("bf16", "float32"))
    correct = close(half.backward(), whole.backward(), BF16_TOLERANCE)
    forget(half)
    forget(whole)
    seconds = time_in_turns(half, whole, rounds)
    correct &= close(half.backward(), whole.backward(), BF16_TOLERANCE)
    return compared(case, sequences * config.max_tokens, seconds, correct, limit)


def make_step(config: EncoderConfig, sequences: int, precision: str) -> OurStep:
    encoder, settings = make_encoder(config), make_settings(sequences, precision)
    batch = make_batch(config, settings, config.max_tokens)
    return OurStep(
        encoder, settings, batch, Optimizer(encoder, settings, Group(None), shards=1, steps=1)
    )


def forget(step: OurStep) -> None:
    """Take the gradients back that only served to be compared."""
    for parameter in step.encoder.parameters():
        parameter.grad.zero_()


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> bool:
    return abs(float(ours) - float(theirs)) <= tolerance * float(theirs)


def compared(
    case: str, tokens: int, seconds: tuple[float, float], correct: bool, limit: float
) -> Comparison:
    return Comparison(
        case=case,
        ours=tokens / seconds[0],
        peer=tokens / seconds[1],
        unit=UNIT,
        correct=correct,
        limit=limit,
    )


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    precisions = ["float32", "bf16"]
    if not arguments.tiny and not multiplies_bf16():
        say_bf16_is_left_out()
        precisions.remove("bf16")
    rows = []
    for form in ("v1", "v2"):
        large, small = make_config(form, **LARGE), make_config(form, **SMALL)
        sizes = large, LARGE_BATCH, LARGE_ROUNDS
        rows += [
            compare_step(f"{form} (6, 512)", *sizes, LARGE_LIMIT),
            compare_step(f"{form} (4, 128)", small, SMALL_BATCH, SMALL_ROUNDS, SMALL_LIMIT),
        ]
        for precision in precisions:
            both, own = f"{form} (6, 512), {precision}", {"precision": precision}
            if precision == "bf16":
                rows.append(compare_step(both, *sizes, LARGE_LIMIT, **own))
            own["compiled"] = True
            rows.append(compare_step(f"{both}, peer compiled", *sizes, 1.0, **own))
            own["selected"] = True
            case = f"{both}, peer compiled, head at selected positions"
            rows.append(compare_step(case, *sizes, 1.0, **own))
        if "bf16" in precisions:
            case = f"{form} (6, 512), bf16 beside float32"
            rows.append(compare_precision(case, *sizes, BF16_LIMIT))
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
