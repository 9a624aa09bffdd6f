"""What the device can do: matrix products, attention and copies alone, forward and backward, bf16.

Shape letters: B sequences, T tokens, K selected tokens, D width, F feed-forward width, H heads,
V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from dnalm.model.encoder import EncoderConfig
from dnalm.training.attention import time_kernels
from on_gpu.jobs import NO_MODEL
from on_gpu.machine import KIND, Machine, say
from on_gpu.results import Row

SQUARE, TINY_SQUARE = 8192, 64  # rows and columns of the largest matrix product
COPIED, TINY_COPIED = 1 << 32, 1 << 16  # bytes
PRODUCTS, SQUARES = "matrix products of its shapes", "square"


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What the parts that nobody can leave out take of one step, and their rates in FLOP/s."""

    products: float
    attention: float
    seconds: float
    kernels: dict[str, float]  # seconds of attention kernels, fastest first


def measure(machine: Machine, _: str) -> Iterator[Row]:
    """Yield the rate of one large product and of a copy, to compare machines by."""
    side = TINY_SQUARE if machine.tiny else SQUARE
    rate = find_square(machine)
    yield Row(
        part="ceilings",
        model=NO_MODEL,
        side=f"product of {side} × {side}, forward and backward",
        value=rate / 1e12,
        unit="TFLOP/s",
        tflops=rate / 1e12,
        share_of_peak=machine.share(rate),
    )
    count = (TINY_COPIED if machine.tiny else COPIED) // 4
    source, copy = (torch.randn(count, device=machine.device) for _ in range(2))
    seconds = machine.time(lambda: copy.copy_(source))
    yield Row(
        part="ceilings",
        model=NO_MODEL,
        side="copy on the device, bytes read and written",
        value=8 * count / seconds / 1e12,
        unit="TB/s",
    )


def find_square(machine: Machine) -> float:
    """Return the FLOP/s of one large square product and its backward pass; measured once."""
    if SQUARES not in machine.ceilings:
        side = TINY_SQUARE if machine.tiny else SQUARE
        flops, seconds = time_product(machine, side, side, side)
        machine.ceilings[SQUARES] = flops / seconds
        machine.tidy()
    return machine.ceilings[SQUARES]


def find_ceiling(machine: Machine, config: EncoderConfig, sequences: int, selected: int) -> Ceiling:
    """Return what one step of a model would take if nothing but its products ran; measured once.

    The last block has to make keys and values of all tokens, the rest of the selected ones.
    """
    key = (repr(config), sequences, selected)
    if key not in machine.ceilings:
        machine.ceilings[key] = _find_ceiling(machine, config, sequences, selected)
        machine.tidy()
    return machine.ceilings[key]


def _find_ceiling(
    machine: Machine, config: EncoderConfig, sequences: int, selected: int
) -> Ceiling:
    width, tokens = config.width, config.max_tokens
    inner = config.ffn_width * (2 if config.feed_forward == "swiglu" else 1)
    rows, head = sequences * tokens, sequences * selected
    before = config.layers - 1
    shapes = {
        (rows, width, width): 4 * before + 2,
        (rows, width, inner): before,
        (rows, config.ffn_width, width): before,
        (head, width, width): 3,  # query and output of the last block, and the head's
        (head, width, inner): 1,
        (head, config.ffn_width, width): 1,
        (head, width, config.vocabulary_size): 1,
    }
    flops = seconds = 0.0
    for shape, times in shapes.items():
        operations, taken = time_product(machine, *shape)
        flops, seconds = flops + times * operations, seconds + times * taken
    # The same count as that of `count_flops`.
    attention = 12.0 * width * tokens * rows
    kernels = time_kernels(
        (sequences, config.heads, tokens, width // config.heads), KIND, machine.device
    )
    taken = min(kernels.values())
    say("attention: " + ", ".join(f"{name} {1e3 * one:.3g} ms" for name, one in kernels.items()))
    return Ceiling(
        products=flops / seconds,
        attention=attention / taken,
        seconds=seconds + (before + selected / tokens) * taken,
        kernels=kernels,
    )


def time_product(machine: Machine, rows: int, inner: int, outer: int) -> tuple[float, float]:
    """Return floating-point operations and seconds of a layer's product and its backward."""
    options = {"dtype": KIND, "device": machine.device}
    x = torch.randn(rows, inner, **options, requires_grad=True)
    weight = torch.randn(outer, inner, **options, requires_grad=True)
    gradient = torch.randn(rows, outer, **options)

    def multiply() -> None:
        torch.autograd.grad(functional.linear(x, weight), (x, weight), gradient)

    return 6.0 * rows * inner * outer, machine.time(multiply)
