"""Training on one GPU: what the machine can do, and what we and `EsmForMaskedLM` make of it.

    python tests/bench/gpu.py --output results/bench/gpu.json
    python tests/bench/gpu.py --output tiny.json --device cpu --tiny    # tries every line, no more

First the ceilings: matrix products and attention alone, forward and backward in bf16, at the
shapes of each model. Then whole training steps, the same batch and first weights for all: ours as
`Trainer` makes them, plain and compiled, and `EsmForMaskedLM` with `torch.compile`. A side counts
only if its first loss is that of ours. Where a side runs out of memory, all sides start over with
half the sequences. Seconds are those of the clock, medians of single steps between two waits for
the device.

Shape letters: B sequences, T tokens, K selected tokens, D width, F feed-forward width, H heads,
V vocabulary.
"""

import argparse
import gc
import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from esm_peer import (
    OurStep,
    PeerStep,
    make_batch,
    make_config,
    make_encoder,
    make_peer,
    make_settings,
)
from torch import Tensor
from torch.nn import functional

from dnalm.configuration.resolve import resolve_run
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.training.attention import prefer_kernels, time_kernels
from dnalm.training.distributed import Group
from dnalm.training.hardware import count_flops, find_peak
from dnalm.training.memory import Layout
from dnalm.training.optimizer import Optimizer
from dnalm.training.sharding import arrange

CONFIG = Path(__file__).parents[2] / "config.yaml"
# B at which a GPU of 80 GB should hold all sides; halved where it does not.
MODELS = {
    "500m-human-ref": 16,
    "v2-500m-multi-species": 8,
    "2.5b-multi-species": 4,
    "v2-50m-multi-species": 32,
}
SQUARE = 8192  # rows and columns of the largest matrix product
TINY_MODELS = {"v1": 4, "v2": 4}
TINY = {"layers": 2, "heads": 2, "width": 32, "ffn_width": 64, "max_tokens": 24}
TINY_SQUARE = 64
WARM_UPS, REPEATS = 3, 10
TOLERANCE = 1e-2  # of the loss, in bf16
PRECISION, KIND = "bf16", torch.bfloat16
OURS, COMPILED, PEER = "ours", "ours, compiled", "EsmForMaskedLM, compiled"
COLUMNS = (
    ("model", "model"),
    ("side", "side"),
    ("sequences", "B"),
    ("tokens", "T"),
    ("tokens_per_second", "tokens/s"),
    ("tflops", "TFLOP/s"),
    ("share_of_gemm", "of GEMM"),
    ("share_of_peak", "of peak"),
    ("gigabytes", "GB"),
    ("loss", "loss"),
    ("agrees", "loss agrees"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a ceiling or a side; None where a column has no meaning."""

    model: str
    side: str
    sequences: int | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    tflops: float  # useful ones: nothing that is computed twice counts twice
    share_of_gemm: float | None = None  # of what products of this model's shapes reach alone
    share_of_peak: float | None = None  # of what the data sheet says
    gigabytes: float | None = None  # the most that was allocated at once
    loss: float | None = None  # of the first step
    agrees: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What the parts that nobody can leave out take of one step, and their rates in FLOP/s."""

    gemm: float
    attention: float
    seconds: float


class Bench:
    """Measures on one device; `peak` is that of its data sheet in FLOP/s, None if unknown."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.group = Group(None)
        self.group.device = device
        self.peak = find_peak(device, PRECISION)[1]

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(self, function: Callable[[], object]) -> float:
        """Return the median seconds of one call."""
        for _ in range(WARM_UPS):
            function()
        seconds = []
        for _ in range(REPEATS):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    def share(self, flops_per_second: float) -> float | None:
        return None if self.peak is None else flops_per_second / self.peak

    def time_product(self, rows: int, inner: int, outer: int) -> tuple[float, float]:
        """Return floating-point operations and seconds of a layer's product and its backward."""
        options = {"dtype": KIND, "device": self.device}
        x = torch.randn(rows, inner, **options, requires_grad=True)
        weight = torch.randn(outer, inner, **options, requires_grad=True)
        gradient = torch.randn(rows, outer, **options)

        def multiply() -> None:
            torch.autograd.grad(functional.linear(x, weight), (x, weight), gradient)

        return 6.0 * rows * inner * outer, self.time(multiply)

    def find_ceiling(self, config: EncoderConfig, sequences: int, selected: int) -> Ceiling:
        """Return what one step of a model would take if nothing but its products ran.

        The last block has to make keys and values of all tokens, the rest of the selected ones.
        """
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
            operations, taken = self.time_product(*shape)
            flops, seconds = flops + times * operations, seconds + times * taken
        # The same count as that of `count_flops`.
        attention = 12.0 * width * tokens * rows
        shape = (sequences, config.heads, tokens, width // config.heads)
        kernels = time_kernels(shape, KIND, self.device)
        taken = min(kernels.values())
        times = ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in kernels.items())
        sys.stderr.write(f"attention on {list(shape)}: {times}\n")
        total = seconds + (before + selected / tokens) * taken
        return Ceiling(gemm=flops / seconds, attention=attention / taken, seconds=total)

    def make_ours(
        self, config: EncoderConfig, state: dict[str, Tensor], sequences: int, compiled: bool
    ) -> OurStep:
        with self.device:
            encoder = Encoder(config)
        encoder.load_state_dict(state)
        settings = make_settings(sequences, PRECISION)
        layout = Layout(shards=1, activation_checkpointing=False)
        options = {"precision": PRECISION, "compiled": compiled}
        encoder = arrange(encoder, layout, self.group, **options)
        batch = make_batch(config, settings, config.max_tokens).to(self.device)
        optimizer = Optimizer(encoder, settings, self.group, steps=1)
        return OurStep(encoder, settings, batch, optimizer)

    def make_theirs(
        self, config: EncoderConfig, state: dict[str, Tensor], sequences: int
    ) -> PeerStep:
        with self.device:
            peer = make_peer(config, state)
        settings = make_settings(sequences, PRECISION)
        batch = make_batch(config, settings, config.max_tokens).to(self.device)
        return PeerStep(peer, settings, batch, torch.compile(peer))

    def measure_step(self, make: Callable[[], Callable[[], Tensor]]) -> dict[str, float | None]:
        """Return the first loss, seconds of a step, and gigabytes of what `make` returns."""
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        step = make()
        loss = float(step())
        seconds = self.time(step)
        if not math.isfinite(float(step())):
            loss = math.nan
        most = torch.cuda.max_memory_allocated(self.device) / 1e9 if on_gpu else None
        return {"loss": loss, "seconds": seconds, "gigabytes": most}

    def measure_sides(
        self, config: EncoderConfig, state: dict[str, Tensor], sequences: int
    ) -> Iterator[tuple[str, dict[str, float | None]]]:
        """Yield every side's name and measurement, one after the other in an empty memory."""
        heads = (config.heads, config.max_tokens, config.width // config.heads)
        best = time_kernels((sequences, *heads), KIND, self.device)
        sides = {
            OURS: lambda: self.make_ours(config, state, sequences, False),
            COMPILED: lambda: self.make_ours(config, state, sequences, True),
            PEER: lambda: self.make_theirs(config, state, sequences),
        }
        for side, make in sides.items():
            # As `Trainer` does on a GPU; the peer takes what torch chooses for it.
            with nullcontext() if side == PEER else prefer_kernels(list(best)):
                measured = self.measure_step(make)
            self.tidy()
            yield side, measured

    def tidy(self) -> None:
        torch._dynamo.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def measure_model(self, name: str, config: EncoderConfig, sequences: int) -> Iterator[Row]:
        """Yield the rows of one model, its ceilings first."""
        encoder = make_encoder(config)
        state = encoder.state_dict()
        while True:
            with suppress(torch.OutOfMemoryError):
                measured = dict(self.measure_sides(config, state, sequences))
                break
            # Not before the error is forgotten, which keeps what ran alive.
            self.tidy()
            if sequences == 1:
                sys.stderr.write(f"{name} does not fit, not even with one sequence\n")
                return
            sequences //= 2
            sys.stderr.write(f"{name}: out of memory, once more with B = {sequences}\n")
        selected = make_settings(sequences, PRECISION).masking.count_slots(config.max_tokens)
        shape = {"sequences": sequences, "tokens": config.max_tokens}
        tokens = sequences * config.max_tokens
        flops = sequences * count_flops(encoder, config.max_tokens, selected)
        ceiling = self.find_ceiling(config, sequences, selected)
        rates = {"matrix products": ceiling.gemm, "attention": ceiling.attention}
        for side, rate in rates.items():
            yield Row(
                model=name, side=side, tflops=rate / 1e12, share_of_peak=self.share(rate), **shape
            )
        both = {"both, nothing else": {"seconds": ceiling.seconds}}
        for side, facts in (both | measured).items():
            rate = flops / facts["seconds"]
            loss = facts.get("loss")
            reference = measured[OURS]["loss"]
            yield Row(
                model=name,
                side=side,
                tokens_per_second=tokens / facts["seconds"],
                tflops=rate / 1e12,
                share_of_gemm=rate / ceiling.gemm,
                share_of_peak=self.share(rate),
                gigabytes=facts.get("gigabytes"),
                loss=loss,
                # A loss that is no number agrees with none, nor does anything with it.
                agrees=None if loss is None else abs(loss - reference) <= TOLERANCE * reference,
                **shape,
            )

    def measure(self, models: Iterable[tuple[str, EncoderConfig, int]], square: int) -> list[Row]:
        """Return all rows."""
        operations, seconds = self.time_product(square, square, square)
        rate = operations / seconds
        side = f"product of {square} × {square}"
        rows = [
            Row(model="any", side=side, tflops=rate / 1e12, share_of_peak=self.share(rate)),
        ]
        for name, config, sequences in models:
            sys.stderr.write(f"{name} …\n")
            rows += self.measure_model(name, config, sequences)
        return rows


def list_models(tiny: bool) -> Iterator[tuple[str, EncoderConfig, int]]:
    """Yield name, encoder and B of every model: of config.yaml, or of no meaning at all."""
    if tiny:
        for form, sequences in TINY_MODELS.items():
            yield f"tiny {form}", make_config(form, **TINY), sequences
        return
    config = yaml.safe_load(CONFIG.read_text())
    for name, sequences in MODELS.items():
        yield name, EncoderConfig(**resolve_run(config, name)["encoder"]), sequences


def show(rows: list[Row]) -> None:
    lines = [[title for _, title in COLUMNS]]
    lines += [[shown(key, getattr(row, key)) for key, _ in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def shown(key: str, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.1%}" if key.startswith("share") else f"{value:,.4g}"
    return str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="shapes of no meaning, to try the code")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.stdout.write(
            f"There is no CUDA device that torch {torch.__version__} can use, so nothing was "
            "measured; run the same command where there is one.\n"
        )
        arguments.output.write_text("[]")
        return 0
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    sys.stdout.write(f"{name}, torch {torch.__version__}\n")
    if arguments.tiny:
        sys.stdout.write("Tiny shapes: the numbers mean nothing.\n")
    square = TINY_SQUARE if arguments.tiny else SQUARE
    rows = Bench(device).measure(list_models(arguments.tiny), square)
    show(rows)
    facts = [asdict(row) | {"device": name} for row in rows]
    arguments.output.write_text(json.dumps(facts, indent=2))
    return 1 if any(row.agrees is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
