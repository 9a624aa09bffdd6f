"""Estimates of a training run before it starts: memory per GPU, throughput, communication, days.

P is the number of parameters, N that of nodes, n that of processes.
"""

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dnalm.corpus.windows import count_window_tokens
from dnalm.files import atomic_path
from dnalm.jobs.gpus import find_gpus
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import Layout
from dnalm.training.batches import Batches, split_step
from dnalm.training.hardware import (
    count_flops,
    count_memory,
    find_peak,
    settle_group_precision,
)
from dnalm.training.memory import (
    BF16_BYTES,
    FLOAT32_BYTES,
    GB,
    Load,
    choose_layout,
    choose_micro_batch,
    count_sequences,
    estimate_memory,
    examine_pass,
)
from dnalm.training.settings import Operation, Run

# A node like the paper's, and all of its 16, where operation.processes leaves it to the machine.
DEFAULT_PROCESSES = (8, 128)
ASSUMED_MEMORY = 80e9  # bytes of a GPU, the paper's A100, where operation.micro_batch is left open
GPUS_PER_NODE = 8
BITS_PER_BYTE = 8
SECONDS_PER_DAY = 86_400

logger = logging.getLogger(__name__)


def count_work(encoder: Encoder, layout: Layout, load: Load) -> float:
    """Return the FLOPs of one sequence, forward and backward, with those that are made again.

    A block that is recomputed costs a third more: forward, forward, backward.
    """
    useful = count_flops(encoder, load.tokens, load.selected)
    return useful + layout.activation_checkpointing * count_flops(encoder, load.tokens, 0) / 3


def count_traffic(
    encoder: Encoder, *, shards: int, processes: int, passes: int, precision: str
) -> float:
    """Return the bytes that each node sends in one step, and as many receives; 0 for one node.

    Collective operations run in rings, which every node is entered and left by once: of S bytes an
    all-reduce over m members takes 2 (m - 1) / m · S through each node, an all-gather or a
    reduce-scatter half of that.

    Whole copies (`shards` 1): one all-reduce of the float32 gradients a step, S = 4 P, m = n.

    Full (as many shards as processes, `dnalm.parallel.sharding`): blocks are freed after the
    forward pass, so each pass gathers them twice in the precision they compute in (bf16: 2 · 2
    bytes a parameter) and scatters their float32 gradients (4 bytes): 8 P bytes a pass in bf16,
    12 P in float32. What lies outside of the blocks is gathered once a pass, in float32, and kept:
    8 bytes a parameter as well.

    Hybrid (a copy of the shards in each node, `shards` GPUs): gathers and scatters stay inside of
    the nodes. Between them each GPU's part of the gradient is all-reduced once a step: S = 4 P,
    m = N.
    """
    nodes = -(-processes // GPUS_PER_NODE)
    if nodes == 1:
        return 0.0
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    if shards < processes:
        members = processes if shards == 1 else nodes
        return 2 * (members - 1) / members * FLOAT32_BYTES * parameters
    blocks = sum(parameter.numel() for parameter in encoder.blocks.parameters())
    computing = BF16_BYTES if precision == "bf16" else FLOAT32_BYTES
    of_a_pass = (2 * computing + FLOAT32_BYTES) * blocks
    of_a_pass += 2 * FLOAT32_BYTES * (parameters - blocks)
    return (processes - 1) / processes * passes * of_a_pass


def plan_run(run: Run, operation: Operation, batches: Batches, group: Group) -> Layout:
    """Return the memory layout of a run's model on the group's devices; log memory and throughput.

    Every process has to call it.
    """
    config = EncoderConfig(**run.encoder)
    load = Load(
        sequences=batches.rows,
        tokens=batches.windows.tokens,
        selected=batches.slots,
        precision=run.pretrain.precision,
    )
    room = count_memory(group)
    layout = choose_layout(config, operation, load, **_resources(operation, group, room))
    memory = estimate_memory(config, layout, load)
    logger.info(
        "Expected in each of %d processes: %s of %.2f GB, %s.",
        *(group.size, memory, room / GB, layout),
    )
    device, peak = find_peak(group.device, load.precision)
    if peak is not None:
        with torch.device("meta"):
            encoder = Encoder(config)
        speed = peak * group.size * load.tokens / count_work(encoder, layout, load)
        logger.info("At the whole peak of %s it would be %.0f tokens/s.", device, speed)
    return layout


def settle(run: Run, operation: Operation, tokens: int, group: Group) -> tuple[Run, Operation]:
    """Return the settings with what they leave to the machine: precision and micro-batch.

    `tokens` are those of a window. Every process has to call it. Raises `InputError` where a GPU
    lacks the precision, or a single sequence does not fit.
    """
    precision = settle_group_precision(run.pretrain.precision, group)
    run = replace(run, pretrain=replace(run.pretrain, precision=precision))
    load = Load(
        sequences=1,
        tokens=tokens,
        selected=run.pretrain.masking.count_slots(tokens),
        precision=precision,
    )
    on_cpu, most = group.device.type == "cpu", -(-run.pretrain.batch_sequences // group.size)
    resources = _resources(operation, group, count_memory(group))
    micro_batch = choose_micro_batch(
        EncoderConfig(**run.encoder), operation, load, most=most, on_cpu=on_cpu, **resources
    )
    logger.info("Computed in %s, at most %d sequences in a pass.", precision, micro_batch)
    return run, replace(operation, micro_batch=micro_batch)


def examine_passes(run: Run, operation: Operation, tokens: int, group: Group) -> dict[str, Any]:
    """Log whether the passes of settled settings fit, and return it for the result of a check.

    Every process has to call it. Raises `InputError` where they do not.
    """
    batch, micro_batch = run.pretrain.batch_sequences, operation.micro_batch
    load = Load(
        sequences=split_step(batch, group.size, micro_batch)[1],
        tokens=tokens,
        selected=run.pretrain.masking.count_slots(tokens),
        precision=run.pretrain.precision,
    )
    room = count_memory(group)
    found = examine_pass(
        EncoderConfig(**run.encoder),
        operation,
        load,
        most=-(-batch // group.size),
        **_resources(operation, group, room),
    )
    logger.info(
        "A pass of %s takes %s of %.2f GB, with %s; at most %s sequences fit.",
        *(load, found.memory, room / GB, found.layout, f"{found.most:,}"),
    )
    return {
        "sequences_per_pass": found.sequences,
        "most_sequences": found.most,
        "pass_gb": round(found.memory.total / GB, 3),
        "memory_gb": round(room / GB, 3),
    }


def _resources(operation: Operation, group: Group, device_bytes: int) -> dict[str, int]:
    """Return what `choose_layout` asks of the processes."""
    on_node = group.count_on_node() if operation.sharding == "hybrid" else group.size
    return {"processes": group.size, "on_node": on_node, "device_bytes": device_bytes}


def estimate_run(
    run: Run, operation: Operation, tokens: int, estimate: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield one row per number of GPUs and layout of a run on windows of `tokens` tokens.

    `tokens` counts `<cls>`; `estimate` is that section of the configuration. Memory is that of each
    GPU in GB; days are those of the whole run. Those of a GPU's name are arithmetic at the assumed
    utilisation; those of the exchange between nodes come on top as far as it does not go on beside
    the arithmetic.
    """
    config = EncoderConfig(**run.encoder)
    with torch.device("meta"):
        encoder = Encoder(config)
    numbers = DEFAULT_PROCESSES if operation.processes == "auto" else (operation.processes,)
    for processes in numbers:
        # "hybrid": shards inside of a node, copies between nodes; on one node it is "full".
        hybrid = min(GPUS_PER_NODE, processes)
        layouts = {1: "none", hybrid: "hybrid", processes: "full"}
        for shards, sharding in sorted(layouts.items()):
            for again in (False, True):
                layout = Layout(shards=shards, reshard=True, activation_checkpointing=again)
                options = {"tokens": tokens, "processes": processes, "sharding": sharding}
                yield _estimate(run, operation, encoder, layout, estimate, **options)


def _estimate(
    run: Run,
    operation: Operation,
    encoder: Encoder,
    layout: Layout,
    estimate: Mapping[str, Any],
    *,
    tokens: int,
    processes: int,
    sharding: str,
) -> dict[str, Any]:
    config = encoder.config
    precision = run.pretrain.precision
    of_process = -(-run.pretrain.batch_sequences // processes)
    load = Load(
        sequences=1,
        tokens=tokens,
        selected=run.pretrain.masking.count_slots(tokens),
        precision="bf16" if precision == "auto" else precision,  # as GPUs with a peak of it have
    )
    sequences = operation.micro_batch
    if sequences == "auto":
        room = {"most": of_process, "device_bytes": int(ASSUMED_MEMORY)}
        sequences = max(1, count_sequences(config, layout, load, **room))
    load = replace(load, sequences=min(sequences, of_process))
    steps = run.pretrain.count_steps(tokens)
    memory = estimate_memory(encoder.config, layout, load)
    row = {
        "model": run.model,
        "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "gpus": processes,
        "sequences_per_gpu": load.sequences,
        "tokens_per_sequence": tokens,
        "precision": load.precision,
        "sharding": sharding if layout.shards > 1 else "none",
        "activation_checkpointing": str(layout.activation_checkpointing).lower(),
    }
    parts = ("weights", "gradients", "adam", "activations", "logits", "total")
    row |= {f"{part}_gb": f"{getattr(memory, part) / GB:.2f}" for part in parts}
    total = steps * run.pretrain.batch_sequences * tokens
    work = count_work(encoder, layout, load) / tokens
    for gpu in find_gpus(estimate["gpus"]):
        speed = estimate["utilisation"] * gpu.reach_peak(load.precision) * processes / work
        row[f"tokens_per_second_{gpu.name}"] = f"{speed:.0f}"
        row[f"days_{gpu.name}"] = f"{total / speed / SECONDS_PER_DAY:.1f}"
    traffic = count_traffic(
        encoder,
        shards=layout.shards,
        processes=processes,
        passes=-(-of_process // load.sequences),
        precision=load.precision,
    )
    row["sent_per_node_gb"] = f"{traffic / GB:.2f}"
    for gigabits in estimate["network_gigabits"]:
        days = steps * traffic * BITS_PER_BYTE / (gigabits * GB) / SECONDS_PER_DAY
        row[f"exchange_days_{gigabits}_gigabits"] = f"{days:.1f}"
    row["assumed_utilisation"] = estimate["utilisation"]
    published = estimate["published"].get(run.model, {})
    same = published.get("gpus") == processes
    row["published_days"] = published["days"] if same else ""
    row["published_gpu"] = published["gpu"] if same else ""
    return row


def write_estimates(
    runs: Iterable[str | Path],
    operations: Mapping[str, str | Path],
    corpora: Mapping[str, Mapping[str, Any]],
    estimate: Mapping[str, Any],
    path: str | Path,
) -> None:
    """Write a table of the runs that these files describe, in the order of `operations`.

    `operations` is the operation.json of each model, which does not name it, `corpora` are the
    settings of each corpus, `estimate` is that section of the configuration. Of a corpus `windows`,
    `k` and `max_tokens` count; neither a corpus nor a genome needs to be there.
    """
    rows, by_name = [], {run.model: run for run in map(Run.read, runs)}
    for model, operation in operations.items():
        run = by_name[model]
        tokens = count_window_tokens(corpora[run.corpus])
        rows += estimate_run(run, Operation.read(operation), tokens, estimate)
    columns = dict.fromkeys(key for row in rows for key in row)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    logger.info("%s: %d layouts of %d models", path, len(rows), len(by_name))
