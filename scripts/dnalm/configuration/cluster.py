"""The nodes and GPUs that a model is trained on: numbers of the configuration, or by its size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnalm.configuration.resolve import merge, resolve_run
from dnalm.model.config import EncoderConfig, count_parameters

# Float32 weights, gradients and Adam's two moments, and the copy of the weights in bf16.
BYTES_PER_PARAMETER = 4 + 4 + 8 + 2
FULL_NODE = 8  # GPUs; that of the paper
# Of the memory of all GPUs; the rest is for activations, logits and the blocks that are gathered.
MAX_STATE_SHARE = 0.5
GB = 1e9
CLUSTER_KEYS = ("nodes", "gpus_per_node", "gpu_memory_gb")  # of `operation`, for a scheduler
# Of main memory: what a process takes before any weight (libraries, genomes that the kernel maps),
# and the weights in float32 while it starts and while the first one gathers a checkpoint.
NODE_MB, PROCESS_MB, BYTES_WHILE_GATHERED = 32_000, 16_000, 4 + 12
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class ClusterSize:
    """`gpus_per_node` 0 is a training on processors, `processes` of it on each node."""

    nodes: int
    gpus_per_node: int
    processes: int
    memory_mb: int

    @property
    def gpus(self) -> int:
        """The GPUs of all nodes."""
        return self.nodes * self.gpus_per_node


def size_cluster(config: Mapping[str, Any], model: str) -> ClusterSize:
    """Return the nodes and GPUs of a model's training.

    They are `nodes` and `gpus_per_node` of `operation`, the model's own first. Where one is `auto`,
    the least number is taken (1, 2, 4 or 8 GPUs of a node, then whole nodes of 8) on which weights,
    gradients and moments fill no more than half of `gpu_memory_gb`.
    """
    operation = merge(config["operation"], config["models"][model].get("operation", {}))
    nodes, gpus_per_node = operation["nodes"], operation["gpus_per_node"]
    parameters = count_parameters(EncoderConfig(**resolve_run(config, model)["encoder"]))
    room = MAX_STATE_SHARE * operation["gpu_memory_gb"] * GB
    needed = -(-parameters * BYTES_PER_PARAMETER // int(room))
    if gpus_per_node == "auto":
        several = needed > FULL_NODE or (nodes != "auto" and nodes > 1)
        gpus_per_node = FULL_NODE if several else 1 << (needed - 1).bit_length()
    if nodes == "auto":
        nodes = max(1, -(-needed // gpus_per_node)) if gpus_per_node else 1
    processes = operation["processes"]
    processes = max(1, gpus_per_node) if processes == "auto" else processes
    weights = parameters * BYTES_WHILE_GATHERED / MB
    memory = NODE_MB + processes * (PROCESS_MB + weights)
    return ClusterSize(
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        processes=processes,
        memory_mb=int(round(memory, -3)),
    )


def resolve_operation(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return how a model is trained, `operation.json` but for `scratch`.

    On what, the scheduler and the trainer see for themselves.
    """
    operation = merge(config["operation"], config["models"][model].get("operation", {}))
    return {key: value for key, value in operation.items() if key not in CLUSTER_KEYS}
