"""Estimates of a training run before it starts: memory per GPU, throughput, days."""

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dnalm.corpus.windows import WindowRule, tokens_per_window
from dnalm.files import atomic_path
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.training.batches import Batches
from dnalm.training.distributed import Group
from dnalm.training.hardware import (
    PEAK_FLOPS,
    count_flops,
    count_memory,
    find_peak,
    settle_group_precision,
)
from dnalm.training.memory import (
    GB,
    Layout,
    Load,
    choose_layout,
    choose_micro_batch,
    count_sequences,
    estimate_memory,
)
from dnalm.training.settings import Operation, Run

# Model FLOPs utilisation: the share of a GPU's stated peak that good trainers of encoders this size
# reach. No source: our choice until the history of a first run says what it was.
ASSUMED_UTILISATION = 0.4
# A node like the paper's, and all of its 16, where operation.processes leaves it to the machine.
DEFAULT_PROCESSES = (8, 128)
ASSUMED_MEMORY = 80e9  # bytes of a GPU, the paper's A100, where operation.micro_batch is left open
SECONDS_PER_DAY = 86_400

logger = logging.getLogger(__name__)


def expected_speed(
    encoder: Encoder, layout: Layout, load: Load, *, peak: float, processes: int
) -> float:
    """Return the throughput in tokens/s of `processes` devices of `peak` FLOP/s each.

    Each is used at `ASSUMED_UTILISATION` of its peak (model FLOPs utilisation, MFU). A block that
    is recomputed costs a third more: forward, forward, backward.
    """
    useful = count_flops(encoder, load.tokens, load.selected)
    again = count_flops(encoder, load.tokens, 0) / 3 if layout.activation_checkpointing else 0.0
    return ASSUMED_UTILISATION * peak * processes * load.tokens / (useful + again)


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
        speed = expected_speed(encoder, layout, load, peak=peak, processes=group.size)
        logger.info(
            "Expected at %g of the peak of %s: %.0f tokens/s.", ASSUMED_UTILISATION, device, speed
        )
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


def _resources(operation: Operation, group: Group, device_bytes: int) -> dict[str, int]:
    """Return what `choose_layout` asks of the processes."""
    on_node = group.count_on_node() if operation.sharding == "hybrid" else group.size
    return {"processes": group.size, "on_node": on_node, "device_bytes": device_bytes}


def estimate_run(run: Run, operation: Operation, tokens: int) -> Iterator[dict[str, Any]]:
    """Yield one row per number of GPUs and layout of a run on windows of `tokens` tokens.

    `tokens` counts `<cls>`. Memory is that of each GPU in GB; days are those of the whole run;
    columns of speed are named by the GPU.
    """
    config = EncoderConfig(**run.encoder)
    with torch.device("meta"):
        encoder = Encoder(config)
    numbers = DEFAULT_PROCESSES if operation.processes == "auto" else (operation.processes,)
    for processes in numbers:
        yield from _estimate(run, operation, encoder, tokens=tokens, processes=processes)


def _estimate(
    run: Run, operation: Operation, encoder: Encoder, *, tokens: int, processes: int
) -> Iterator[dict[str, Any]]:
    config = encoder.config
    precision = run.pretrain.precision
    load = Load(
        sequences=1,
        tokens=tokens,
        selected=run.pretrain.masking.count_slots(tokens),
        precision="bf16" if precision == "auto" else precision,  # as GPUs with a peak of it have
    )
    most = -(-run.pretrain.batch_sequences // processes)
    total = run.pretrain.count_steps(tokens) * run.pretrain.batch_sequences * tokens
    for shards in dict.fromkeys((1, processes)):
        for again in (False, True):
            layout = Layout(shards=shards, reshard=True, activation_checkpointing=again)
            sequences = operation.micro_batch
            if sequences == "auto":
                room = {"most": most, "device_bytes": int(ASSUMED_MEMORY)}
                sequences = max(1, count_sequences(config, layout, load, **room))
            load = replace(load, sequences=min(sequences, most))
            memory = estimate_memory(config, layout, load)
            row = {
                "model": run.model,
                "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
                "gpus": processes,
                "sequences_per_gpu": load.sequences,
                "tokens_per_sequence": tokens,
                "precision": load.precision,
                "sharding": "none" if shards == 1 else "full",
                "activation_checkpointing": str(again).lower(),
            }
            parts = ("weights", "gradients", "adam", "activations", "logits", "total")
            row |= {f"{part}_gb": f"{getattr(memory, part) / GB:.2f}" for part in parts}
            for (name, precision), peak in PEAK_FLOPS.items():
                if precision == load.precision:
                    options = {"peak": peak, "processes": processes}
                    speed = expected_speed(encoder, layout, load, **options)
                    row[f"tokens_per_second_{name}"] = f"{speed:.0f}"
                    row[f"days_{name}"] = f"{total / speed / SECONDS_PER_DAY:.1f}"
            row["assumed_utilisation"] = ASSUMED_UTILISATION
            yield row


def write_estimates(
    runs: Iterable[str | Path],
    operations: Mapping[str, str | Path],
    corpora: Mapping[str, Mapping[str, Any]],
    path: str | Path,
) -> None:
    """Write a table of the runs that these files describe, in the order of `operations`.

    `operations` is the operation.json of each model, which does not name it, `corpora` are the
    settings of each corpus. Of these `windows`, `k` and `max_tokens` count; neither a corpus nor a
    genome needs to be there.
    """
    rows, by_name = [], {run.model: run for run in map(Run.read, runs)}
    for model, operation in operations.items():
        run = by_name[model]
        corpus = corpora[run.corpus]
        rule = WindowRule(**corpus["windows"])
        tokens = tokens_per_window(rule, corpus["k"], corpus["max_tokens"])
        rows += estimate_run(run, Operation.read(operation), tokens)
    columns = dict.fromkeys(key for row in rows for key in row)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    logger.info("%s: %d layouts of %d models", path, len(rows), len(runs))
