"""Process groups of distributed training: launching by torchrun or srun, and collectives."""

import json
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from dnalm.errors import InputError
from dnalm.jobs.device_use import note_processes

RENDEZVOUS_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
MIN_PORT = 20_000
PORT_COUNT = 20_000
FORWARDED_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
# What a stop may take: one step and one checkpoint of the largest model on a slow file system.
MAX_STOP_SECONDS = 600
# For the others once one process ended: an orderly stop takes less, and a hang would never end.
MAX_STRAGGLER_SECONDS = 60
# For the rendezvous: all processes load torch from a busy file system and connect.
MAX_JOIN_SECONDS = 600

logger = logging.getLogger(__name__)


def find_environment(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the rendezvous variables of this process, None when it trains alone.

    They are those of `torchrun`, or made from those that `srun` gives to each of several tasks:
    all meet where `become_launcher` said, or else on the first node of the step, at a port that
    follows from the job's number.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return {name: environ[name] for name in RENDEZVOUS_VARIABLES if name in environ}
    if int(environ.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return None
    first = re.match(r"([^,\[]+)(?:\[(\d+))?", environ["SLURM_STEP_NODELIST"])
    return {
        "RANK": environ["SLURM_PROCID"],
        "WORLD_SIZE": environ["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": environ["SLURM_LOCALID"],
        "MASTER_ADDR": environ.get("MASTER_ADDR")
        or "".join(part for part in first.groups() if part),
        "MASTER_PORT": environ.get("MASTER_PORT")
        or str(MIN_PORT + int(environ["SLURM_JOB_ID"]) % PORT_COUNT),
    }


def become_launcher(command: Sequence[str], *, nodes: int, processes: int, gpus: int) -> None:
    """Replace this process by a launcher that starts `command` (a script and arguments) many times.

    That is `torchrun` for several `processes` on this node, and `srun`, in the job that this
    process belongs to, for several `nodes` with so many processes and, unless 0, `gpus` each.
    Returns when one process is enough. Raises `InputError` where there is no job to use.
    """
    if nodes > 1:
        if "SLURM_JOB_ID" not in os.environ or "SLURM_STEP_ID" in os.environ:
            raise InputError(
                f"Training on {nodes} nodes has to be started by a batch job of Slurm that has "
                "them; set mpi to srun and tasks_per_node for rule pretrain as profiles/slurm does."
            )
        with socket.create_server(("", 0)) as server:
            port = server.getsockname()[1]
        # A batch job begins on the first of its nodes, where the first process will be.
        os.environ.update(MASTER_ADDR=socket.gethostname(), MASTER_PORT=str(port))
        launcher = [
            "srun",
            f"--nodes={nodes}",
            f"--ntasks={nodes * processes}",
            f"--ntasks-per-node={processes}",
            *([f"--gpus-per-node={gpus}"] if gpus else []),
            "--cpu-bind=none",  # or each process would have one core
            "--kill-on-bad-exit=0",  # an orderly stop ends with 1: let all come to their end
            f"--wait={MAX_STRAGGLER_SECONDS}",
            sys.executable,
        ]
    elif processes > 1:
        # torchrun's option --shutdown-timeout of the same meaning is unknown to torch 2.11, which
        # leaves processes half a minute.
        os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(MAX_STOP_SECONDS)
        launcher = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            f"--nproc-per-node={processes}",
            f"--signals-to-handle={FORWARDED_SIGNALS}",
            "--",  # or the launcher takes our --run for one of its own options
        ]
    else:
        return
    try:
        os.execvp(launcher[0], [*launcher, *command])
    except FileNotFoundError as error:
        raise InputError(f"{launcher[0]} is not on the PATH of {socket.gethostname()}.") from error


def count_processes(wanted: int | str) -> int:
    """Return how many processes to start: the number itself; for `auto` one per GPU, at least 1."""
    return max(1, torch.cuda.device_count()) if wanted == "auto" else int(wanted)


def name_host() -> str:
    """Return the name of this node, Slurm's where it started us."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


@contextmanager
def time_limit(failure: str, seconds: float) -> Iterator[None]:
    """Exit with the sentence `failure` when collective work in this context takes too long.

    Nothing can be closed then: a collective that hangs also hangs whoever waits for its end. Where
    the others are lost, `InputError` is raised.
    """

    def give_up() -> None:
        sentence = (
            f"{failure} within {seconds:g} s; see which of them is missing, and whether the nodes "
            "know and reach each other (GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME)."
        )
        logger.error("%s", sentence)
        sys.stderr.write(f"Error: {sentence}\n")
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{failure}: {reason}.") from error
    finally:
        timer.cancel()


class Group:
    """The process group of a training run, as this rank sees it; alone, every collective is free.

    Tensors are exchanged by NCCL on GPUs and by gloo in the memory of the host.
    """

    def __init__(
        self, environment: Mapping[str, str] | None, *, seconds: float = MAX_JOIN_SECONDS
    ) -> None:
        """Join the others, or end within `seconds`; raise `InputError` where that fails."""
        self.rank = int(environment["RANK"]) if environment else 0
        self.size = int(environment["WORLD_SIZE"]) if environment else 1
        self.local_rank = int(environment.get("LOCAL_RANK", 0)) if environment else 0
        note_processes(self.size)
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", self.local_rank % torch.cuda.device_count())
            torch.cuda.set_device(self.device)
        if self.size > 1:
            os.environ.update(environment)
            on_gpu = self.device.type == "cuda"
            place = ":".join(environment.get(name, "") for name in RENDEZVOUS_VARIABLES[-2:])
            alone = f"rank {self.rank} on {name_host()} did not meet all {self.size} processes"
            with time_limit(f"{alone} at {place}", seconds):
                torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def count_on_node(self) -> int:
        """Return how many processes each node has; every process has to call it.

        Raises `InputError` where nodes have different numbers, or ranks do not go node by node.
        """
        ranks = self.gather(torch.tensor([self.local_rank])).flatten().tolist()
        count = max(ranks) + 1
        if ranks != list(range(count)) * (self.size // count):
            raise InputError(
                "operation.sharding is 'hybrid', which needs as many processes on each node, but "
                f"the {self.size} processes count as {ranks} on their nodes; set it to full, or "
                "start as many everywhere."
            )
        return count

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

    def send(self, tensor: Tensor) -> Tensor:
        """Give all processes, in place, what the first one has in `tensor`."""
        if self.size > 1:
            torch.distributed.broadcast(tensor, src=0)
        return tensor

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
