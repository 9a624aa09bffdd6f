"""Check of a cluster before a model's GPUs are queued for days: pre-flight and an all-reduce.

python scripts/check_training.py --run run.json --operation operation.json ...
"""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from dnalm.files import write_json
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group, name_host, time_limit
from dnalm.training.arguments import parse_check
from dnalm.training.estimates import examine_passes, settle
from dnalm.training.launch import join
from dnalm.training.preflight import examine, exchange
from dnalm.training.settings import Operation, Run

FLOAT32_BYTES = 4
# Large enough for a network to reach its speed; gloo on processors is for tests.
BUFFER_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}
REPEATS = 5
MAX_SECONDS = 120
GB = 1e9

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AllReduce:
    """The sum of one buffer over all processes: its bytes and the median seconds of one sum.

    `gigabytes_per_second` is the bus bandwidth, what each process sends and receives: 2 (n - 1) / n
    times the bytes per second, comparable between numbers n of processes; 0 for one alone.
    """

    bytes: int
    seconds: float
    gigabytes_per_second: float


def main(command: Sequence[str]) -> None:
    """Check the nodes that `command` (a script and its arguments) is started on; write a JSON."""
    files, tokens, allocation = parse_check(command[1:])
    with join(command, files.operation, files.log, allocation) as group:
        run, operation = Run.read(files.run), Operation.read(files.operation)
        config = EncoderConfig(**run.encoder)
        began = time.monotonic()
        examine(
            group,
            files.result.parent / "state",
            config,
            nodes=allocation.nodes,
            gpus=allocation.gpus_per_node,
            keep_last=operation.keep_last,
        )
        run, operation = settle(run, operation, tokens, group)
        passes = examine_passes(run, operation, tokens, group)
        seconds = time.monotonic() - began
        found = measure_all_reduce(group)
        hosts = sorted(set(exchange(group, name_host())))
        if group.first:
            step = estimate_exchange(config, found)
            facts = {
                "model": run.model,
                "processes": group.size,
                "hosts": hosts,
                "device": describe_device(group.device),
                "precision": run.pretrain.precision,
                "micro_batch": operation.micro_batch,
                **passes,
                "torch": torch.__version__,
                "preflight_seconds": round(seconds, 3),
                "all_reduce": asdict(found),
                "gradients_seconds": step,
            }
            write_json(files.result, facts)
            logger.info(
                "%s can be trained by %d processes on %s (%s): all-reduce of %.2f GB in %.3f s, "
                "%.2f GB/s; its gradients once: %.2f s.",
                *(run.model, group.size, ", ".join(hosts), facts["device"], found.bytes / GB),
                *(found.seconds, found.gigabytes_per_second, step),
            )


def measure_all_reduce(group: Group, repeats: int = REPEATS) -> AllReduce:
    """Return the median of several sums of one float32 buffer; every process has to call it.

    Ends with a sentence where they take more than two minutes.
    """
    size = BUFFER_BYTES[group.device.type]
    buffer = torch.zeros(size // FLOAT32_BYTES, device=group.device)
    wait: Callable[[], None] = (
        torch.cuda.synchronize if group.device.type == "cuda" else lambda: None
    )
    seconds = []
    failure = f"rank {group.rank} on {name_host()} could not sum {size / GB:.2f} GB {repeats} times"
    with time_limit(failure, MAX_SECONDS):
        for _ in range(1 + repeats):
            group.sum_numbers(1.0)  # all begin together
            wait()
            start = time.perf_counter()
            group.sum(buffer)
            wait()
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    share = 2 * (group.size - 1) / group.size
    rate = share * size / median / GB
    return AllReduce(bytes=size, seconds=round(median, 6), gigabytes_per_second=round(rate, 3))


def estimate_exchange(config: EncoderConfig, found: AllReduce) -> float:
    """Return the seconds that a model's float32 gradients take at the rate that was measured."""
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in Encoder(config).parameters())
    return round(FLOAT32_BYTES * weights / found.bytes * found.seconds, 3)


def describe_device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
