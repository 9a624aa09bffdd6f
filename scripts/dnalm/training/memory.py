"""Estimate of the memory of training on each device, and the layout that fits.

Shape letters: B sequences of one forward pass, T tokens, S selected tokens per sequence, D width,
F feed-forward width, H heads, V vocabulary, L layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import torch

from dnalm.devices import is_out_of_memory
from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.parallel.sharding import Layout
from dnalm.training.settings import Operation

FLOAT32_BYTES, BF16_BYTES = 4, 2  # bytes
ADAM_MOMENTS = 2
GATHERED_BLOCKS = 2  # the one that computes and the one fetched ahead
# Of a device's memory; the rest is for libraries, the driver and gaps between blocks.
USABLE_SHARE = 0.9
GB = 1e9
# Sequences of a pass where nobody says how many: on a CPU, whose memory must not decide the bits.
CPU_MICRO_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Load:
    """The numbers of one process's forward and backward pass that decide its memory."""

    sequences: int
    tokens: int  # of each sequence
    selected: int  # of each sequence
    precision: str

    def __str__(self) -> str:
        plural = "s" if self.sequences != 1 else ""
        return f"{self.sequences:,} sequence{plural} of {self.tokens:,} tokens"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, at the beginning of a backward pass, where they are most."""

    weights: int
    gradients: int
    adam: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return sum(getattr(self, field.name) for field in fields(self))

    def fits(self, device_bytes: int) -> bool:
        """Return whether a device of so many bytes has room for it."""
        return self.total <= USABLE_SHARE * device_bytes

    def __str__(self) -> str:
        parts = ", ".join(
            f"{field.name} {getattr(self, field.name) / GB:.2f}" for field in fields(self)
        )
        return f"{self.total / GB:.2f} GB ({parts})"


def estimate_memory(config: EncoderConfig, layout: Layout, load: Load) -> Memory:
    """Return the memory, in bytes, of training the encoder of `config` on each device.

    Weights, gradients and Adam's two moments are float32; bf16 adds a copy of the weights for the
    arithmetic. Activations are those that the backward pass needs.
    """
    with torch.device("meta"):
        encoder = Encoder(config)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    block = sum(parameter.numel() for parameter in encoder.blocks[0].parameters())
    outside = parameters - config.layers * block
    computing = _bytes_of(load.precision)
    half = computing != FLOAT32_BYTES
    if layout.shards == 1:
        copies, whole_gradients = half * computing * parameters, 0
    else:
        gathered = min(GATHERED_BLOCKS, config.layers) if layout.reshard else config.layers
        copies = gathered * computing * block + FLOAT32_BYTES * outside
        whole_gradients = GATHERED_BLOCKS * (FLOAT32_BYTES + half * computing) * block
    shard = -(-parameters // layout.shards)
    return Memory(
        weights=FLOAT32_BYTES * shard + copies,
        gradients=FLOAT32_BYTES * shard + whole_gradients,
        adam=ADAM_MOMENTS * FLOAT32_BYTES * shard,
        activations=_count_activations(config, layout, load),
        logits=_count_logits(config, load),
    )


def choose_layout(
    config: EncoderConfig,
    operation: Operation,
    load: Load,
    *,
    processes: int,
    on_node: int,
    device_bytes: int,
) -> Layout:
    """Return the layout that `operation` names; what it leaves open follows from the estimate.

    Shards are made by several processes on whose devices whole copies do not fit, or, hybrid, by
    the `on_node` processes of each node. Gathered weights are given up after a pass where keeping
    them does not fit, and activations are computed twice where nothing else makes a pass fit.
    """

    def fits(layout: Layout) -> bool:
        return estimate_memory(config, layout, load).fits(device_bytes)

    given, again = operation.reshard, operation.activation_checkpointing
    whole = Layout(shards=1, reshard=False, activation_checkpointing=again is True)
    sharding = operation.sharding
    if sharding == "auto":
        sharding = "none" if fits(whole) else "full"
    shards = {"none": 1, "full": processes, "hybrid": on_node}[sharding]
    layout = replace(whole, shards=shards, reshard=shards > 1 and given is True)
    if shards > 1 and given == "auto" and not fits(layout):
        layout = replace(layout, reshard=True)
    if again == "auto" and not fits(layout):
        layout = replace(layout, activation_checkpointing=True)
    return layout


def count_sequences(
    config: EncoderConfig, layout: Layout, load: Load, *, most: int, device_bytes: int
) -> int:
    """Return how many sequences of one pass fit with a layout, 0 to `most`; not `load`'s own."""
    one = estimate_memory(config, layout, replace(load, sequences=1))
    each = one.activations + one.logits
    return max(0, min(most, int((USABLE_SHARE * device_bytes - one.total + each) // each)))


def choose_micro_batch(
    config: EncoderConfig,
    operation: Operation,
    load: Load,
    *,
    most: int,
    on_cpu: bool,
    processes: int,
    on_node: int,
    device_bytes: int,
) -> int:
    """Return the sequences of one pass, 1 to `most`, that `operation` names or the memory holds.

    Where it is left open, the layout is the one in which a single sequence fits, and as many are
    taken as fit in it; on a CPU `CPU_MICRO_BATCH`. Raises `InputError` where not even one fits.
    """
    if operation.micro_batch != "auto":
        return operation.micro_batch
    one = replace(load, sequences=1)
    layout = choose_layout(
        config, operation, one, processes=processes, on_node=on_node, device_bytes=device_bytes
    )
    fitting = count_sequences(config, layout, one, most=most, device_bytes=device_bytes)
    if not fitting:
        advice = _advise(operation, layout, processes, passes=True)
        raise InputError(
            f"One sequence of {load.tokens:,} tokens takes {estimate_memory(config, layout, one)} "
            f"with {layout}, but a process has {device_bytes / GB:.2f} GB, of which "
            f"{USABLE_SHARE:.0%} can be used; {advice}."
        )
    return min(CPU_MICRO_BATCH, most) if on_cpu else fitting


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The sequences of one pass, the memory and layout that they take, and the most that fit."""

    sequences: int
    memory: Memory
    layout: Layout
    most: int


def examine_pass(
    config: EncoderConfig,
    operation: Operation,
    load: Load,
    *,
    most: int,
    processes: int,
    on_node: int,
    device_bytes: int,
) -> Pass:
    """Return what a pass of the sequences of `load` takes; of more than `most` none is made.

    Raises `InputError` where they do not fit, with the most that do: training tries a number that
    is named, whatever the estimate.
    """
    layout = choose_layout(
        config, operation, load, processes=processes, on_node=on_node, device_bytes=device_bytes
    )
    memory = estimate_memory(config, layout, load)
    fitting = count_sequences(config, layout, load, most=most, device_bytes=device_bytes)
    if memory.fits(device_bytes):
        return Pass(sequences=load.sequences, memory=memory, layout=layout, most=fitting)
    if fitting:
        advice = f": set operation.micro_batch to {fitting}, the most that fit"
    else:
        one = replace(operation, micro_batch=1)
        advice = f", and not even one fits; {_advise(one, layout, processes, passes=True)}"
    raise InputError(
        f"A pass of {load} takes {memory} with {layout}, but a process has"
        f" {device_bytes / GB:.2f} GB, of which {USABLE_SHARE:.0%} can be used{advice}."
    )


@contextmanager
def explain_out_of_memory(
    operation: Operation, layout: Layout, processes: int, *, passes: bool
) -> Iterator[None]:
    """Raise `InputError` that says what to change where this block runs out of memory.

    `passes` says whether it makes forward and backward passes or only holds the weights.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = _advise(operation, layout, processes, passes=passes)
        raise InputError(
            f"Training ran out of memory with micro_batch {operation.micro_batch} and {layout}; "
            f"{advice}, then run again: it goes on from its last checkpoint."
        ) from error


def _advise(operation: Operation, layout: Layout, processes: int, *, passes: bool) -> str:
    if passes and operation.micro_batch != "auto" and operation.micro_batch > 1:
        return f"set operation.micro_batch to {operation.micro_batch // 2}"
    if layout.shards > 1 and not layout.reshard:
        return "set operation.reshard to true"
    if passes and not layout.activation_checkpointing:
        return "set operation.activation_checkpointing to true"
    if layout.shards < processes:
        return "set operation.sharding to full"
    if layout.shards == 1:
        return "give it several devices (operation.processes) with operation.sharding full"
    return f"give it more than {processes} devices (operation.processes) or larger ones"


def _bytes_of(precision: str) -> int:
    return BF16_BYTES if precision == "bf16" else FLOAT32_BYTES


def _count_activations(config: EncoderConfig, layout: Layout, load: Load) -> int:
    """Return the bytes of activations kept for the backward pass, without logits."""
    width, computing = config.width, _bytes_of(load.precision)
    # The residual stream before both LayerNorms, and their means and standard deviations.
    stream = 2 * FLOAT32_BYTES * width + 4 * FLOAT32_BYTES
    # What both LayerNorms return, query, key, value and what attention makes of them.
    attention = 6 * computing * width + FLOAT32_BYTES * config.heads
    # GELU and what it returns; with a gate both halves, swish of one, and the product.
    inner = (4 if config.feed_forward == "swiglu" else 2) * computing * config.ffn_width
    block = stream + attention + inner
    # The last block keeps of every token its first LayerNorm, key and value, and has the first
    # LayerNorm's output of the selected ones a second time.
    everywhere = FLOAT32_BYTES * width + 2 * FLOAT32_BYTES + 3 * computing * width
    of_token = (config.layers - 1) * block + everywhere
    of_selected = block - everywhere + computing * width
    if layout.activation_checkpointing:
        of_token, of_selected = config.layers * FLOAT32_BYTES * width + block, 0
    # The embedding; what the last block returns, and the last LayerNorm.
    of_token, of_selected = (
        of_token + FLOAT32_BYTES * width,
        of_selected + 2 * FLOAT32_BYTES * width,
    )
    return load.sequences * (load.tokens * of_token + load.selected * of_selected)


def _count_logits(config: EncoderConfig, load: Load) -> int:
    """Return the bytes of the head: its states, and the logits three times over."""
    computing = _bytes_of(load.precision)
    half = computing != FLOAT32_BYTES
    states = 4 * computing * config.width
    # As the head makes them, in float32, as log-probabilities, and the gradient of one of these.
    logits = (half * computing + 3 * FLOAT32_BYTES) * config.vocabulary_size
    return load.sequences * load.selected * (states + logits)
