"""The processes that train together, one or many."""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from dnalm.errors import InputError

JOINING = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
FIRST_PORT = 20_000
PORTS = 20_000


def find_environment(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the variables by which this process joins others, or None when it is alone.

    They are those of `torchrun`, or made from those that `srun` gives to each of several tasks:
    the first node of the step is where all meet, at a port that follows from the job's number.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return {name: environ[name] for name in JOINING if name in environ}
    if int(environ.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return None
    first = re.match(r"([^,\[]+)(?:\[(\d+))?", environ["SLURM_STEP_NODELIST"])
    return {
        "RANK": environ["SLURM_PROCID"],
        "WORLD_SIZE": environ["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": environ["SLURM_LOCALID"],
        "MASTER_ADDR": "".join(part for part in first.groups() if part),
        "MASTER_PORT": str(FIRST_PORT + int(environ["SLURM_JOB_ID"]) % PORTS),
    }


def count_processes(wanted: int | str) -> int:
    """Return how many processes to start: the number itself; for `auto` one per GPU, at least 1."""
    return max(1, torch.cuda.device_count()) if wanted == "auto" else int(wanted)


class Group:
    """This process among `size` that train together; alone, every exchange is free.

    Tensors are exchanged by NCCL on GPUs and by gloo in the memory of the host.
    """

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self.rank = int(environment["RANK"]) if environment else 0
        self.size = int(environment["WORLD_SIZE"]) if environment else 1
        self.local_rank = int(environment.get("LOCAL_RANK", 0)) if environment else 0
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", self.local_rank % torch.cuda.device_count())
            torch.cuda.set_device(self.device)
        if self.size > 1:
            os.environ.update(environment)
            on_gpu = self.device.type == "cuda"
            torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum `tensor` over all processes, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def sum_numbers(self, *numbers: float) -> list[float]:
        """Return each number summed over all processes, without touching a GPU."""
        if self.size == 1:
            return list(numbers)
        return self.sum(torch.tensor(numbers, dtype=torch.float64)).tolist()

    def gather(self, row: Tensor) -> Tensor:
        """Return [size, …]: the tensor `row` of every process, in the order of ranks."""
        rows = torch.zeros((self.size, *row.shape), dtype=row.dtype, device=row.device)
        rows[self.rank] = row
        return self.sum(rows)

    def from_first(self, function: Callable[[], Any]) -> Any:
        """Call `function` in the first process only; return its JSON-able result in all.

        An `InputError` that it raises is raised in all.
        """
        answer = {}
        if self.first:
            try:
                answer = {"value": function()}
            except InputError as error:
                answer = {"error": str(error)}
        if self.size > 1:
            answer = self._broadcast(answer)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer["value"]

    def _broadcast(self, value: Any) -> Any:
        """Return the first process's value, sent as JSON text (torch's own way is pickle)."""
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        length = torch.tensor([len(text)])
        torch.distributed.broadcast(length, src=0)
        if not self.first:
            text = torch.zeros(int(length), dtype=torch.uint8)
        torch.distributed.broadcast(text, src=0)
        return json.loads(bytes(text.tolist()))

    def close(self) -> None:
        """End the exchange; every process calls it once it is done."""
        if self.size > 1:
            torch.distributed.destroy_process_group()
