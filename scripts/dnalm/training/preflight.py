"""Pre-flight checks of a training run: devices, versions, the network and the disk."""

import hashlib
import json
import logging
import os
import platform
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.parallel.distributed import Group, name_host, time_limit
from dnalm.training.hardware import check_devices

LIBRARY = Path(__file__).parents[1]
DIGITS = 12
MAX_MESSAGE_BYTES = 2048  # of each process in one exchange
MAX_EXCHANGE_SECONDS = 300  # for one exchange: NCCL takes a minute to find its way through 16 nodes
MAX_VISIBILITY_SECONDS = 60  # parallel file systems show a new file late
# A checkpoint of Adam: weights and two moments; and the weights once more, exported.
NUMBERS_PER_WEIGHT = 4
BYTES_PER_FLOAT32 = 4
GB = 1e9

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Rank, host and versions of one process; `fault` says why it cannot write the folder."""

    rank: int
    host: str
    local_rank: int
    devices: int
    gpu: str
    python: str
    torch: str
    cuda: str
    library: str
    fault: str | None

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host}"


def examine(
    group: Group,
    state: Path,
    config: EncoderConfig,
    *,
    nodes: int,
    gpus: int,
    keep_last: int,
    seconds: float = MAX_EXCHANGE_SECONDS,
) -> None:
    """Check that the processes of `group` can train and save; raise `InputError` if not.

    One line of the log says what was found. `gpus` were requested on each of `nodes` nodes, 0
    where none were. Every process has
    to call it; one that waits `seconds` for the others ends itself. `state` is where `keep_last`
    checkpoints will be kept; it is made if missing.
    """
    host = name_host()
    own = Facts(
        rank=group.rank,
        host=host,
        local_rank=group.local_rank,
        devices=torch.cuda.device_count(),
        gpu=torch.cuda.get_device_name(group.device) if group.device.type == "cuda" else "none",
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=str(torch.version.cuda),
        library=hash_library(LIBRARY),
        fault=try_folder(state, f".preflight-{host}-{os.getpid()}"),
    )
    began = time.monotonic()
    with time_limit(f"{own} got no answer from all {group.size} processes", seconds):
        facts = [Facts(**fact) for fact in exchange(group, asdict(own))]
        on_device = torch.ones(1, device=group.device)
        total = int(group.sum(on_device))  # on GPUs by NCCL, the exchange before went by gloo
        took = time.monotonic() - began
        check_together(facts, nodes=nodes, gpus=gpus)
        if total != group.size:
            raise InputError(
                f"The sum of 1 over {group.size} processes is {total} for {own}; its network or "
                "device computes wrongly, leave that node out."
            )
        check_shared(group, state, own)
    needed, free = group.from_first(lambda: check_space(state, config, keep_last))
    logger.info(
        "Pre-flight: %d processes on %s, Python %s, torch %s, CUDA %s, library %s; %d GPUs visible "
        "to each, %s asked for; %.2f GB free in %s, %.2f GB needed; one sum took %.2f s.",
        *(group.size, ", ".join(sorted({fact.host for fact in facts}))),
        *(own.python, own.torch, own.cuda, own.library, own.devices, gpus or "none"),
        *(free / GB, state, needed / GB, took),
    )


def check_together(facts: Sequence[Facts], *, nodes: int, gpus: int) -> None:
    """Raise `InputError` when a process lacks something, or versions of two differ."""
    for fact in facts:
        if fact.fault:
            raise InputError(f"{fact} {fact.fault}")
        if gpus and fact.devices != gpus:
            raise InputError(
                f"{fact} sees {fact.devices} GPUs, but {gpus} were asked for on each node; look at "
                "nvidia-smi and CUDA_VISIBLE_DEVICES there and at whether its torch has CUDA, or "
                "ask for another number."
            )
        for key, what in (
            ("python", "Python"),
            ("torch", "torch"),
            ("cuda", "the CUDA of torch"),
            ("library", "the library scripts/dnalm"),
        ):
            mine, firsts = getattr(fact, key), getattr(facts[0], key)
            if mine != firsts:
                raise InputError(
                    f"{fact} has {what} {mine}, but {facts[0]} has {firsts}; start all nodes in "
                    "the same environment and the same copy of the workflow."
                )
    kinds = Counter(fact.gpu for fact in facts)
    if len(kinds) > 1:
        logger.warning(
            "The processes have unlike GPUs (%s): all take the precision and the memory of the "
            "least, and every step the time of the slowest.",
            ", ".join(f"{count} of {kind}" for kind, count in sorted(kinds.items())),
        )
    check_devices([fact.local_rank for fact in facts], min(fact.devices for fact in facts))
    if gpus and len(facts) != nodes * gpus:
        raise InputError(
            f"{len(facts)} processes were started for {nodes * gpus} GPUs, each would need one; "
            "set operation.processes to 'auto', or ask for as many GPUs."
        )


def check_shared(group: Group, state: Path, own: Facts) -> None:
    """Raise `InputError` in all processes when one does not see the first one's files."""
    name = group.from_first(lambda: f".preflight-{uuid.uuid4().hex}")
    group.from_first(lambda: _write_name(state / name))
    blind = exchange(group, None if sees(state / name) else str(own))
    group.from_first(lambda: (state / name).unlink())
    if any(blind):
        raise InputError(
            f"{next(filter(None, blind))} does not see what rank 0 writes in {state}; put the "
            "results on a file system that all nodes share."
        )


def _write_name(path: Path) -> None:
    """Write a file that holds its own name, and none where that fails."""
    try:
        path.write_text(path.name)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise InputError(
            f"{path.parent} cannot be written to: {error.strerror}; make room, or use another."
        ) from None


def check_space(state: Path, config: EncoderConfig, keep_last: int) -> tuple[int, int]:
    """Return the bytes that checkpoints still need in `state`, and those free there.

    Raises `InputError` when they are too few. A quota is not seen.
    """
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in Encoder(config).parameters())
    checkpoint = NUMBERS_PER_WEIGHT * BYTES_PER_FLOAT32 * weights
    there = sum(map(size_of, state.rglob("*")))
    # One more than are kept: an old one goes when the new one is complete.
    needed = max(checkpoint, (keep_last + 1) * checkpoint - there)
    free = shutil.disk_usage(state).free
    if free < needed:
        raise InputError(
            f"{state} has {free / GB:.1f} GB free, but {keep_last + 1} checkpoints of {weights:,} "
            f"weights take {needed / GB:.1f} GB more; make room or lower operation.keep_last."
        )
    return needed, free


def size_of(path: Path) -> int:
    """Return a file's bytes; 0 for a folder and for what another process has just removed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def try_folder(folder: Path, name: str) -> str | None:
    """Return why no file can be written and renamed in `folder`, after a host's name; else None."""
    path, renamed = folder / name, folder / f"{name}.renamed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.replace(path, renamed)
        if renamed.read_text() != name:
            return f"reads other bytes than it wrote in {folder}; use another file system."
        renamed.unlink()
    except OSError as error:
        # On a full disk a file without content is left.
        for left in (path, renamed):
            with suppress(OSError):
                left.unlink(missing_ok=True)
        return f"cannot write and rename a file in {folder}: {error.strerror}; use another folder."
    return None


def hash_library(folder: Path) -> str:
    """Return 12 hexadecimal digits that change with any Python file below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:DIGITS]


def exchange(group: Group, value: object) -> list:
    """Return every process's JSON-able `value`, in the order of ranks."""
    text = json.dumps(value).encode()
    row = torch.frombuffer(
        bytearray(text[:MAX_MESSAGE_BYTES].ljust(MAX_MESSAGE_BYTES)), dtype=torch.uint8
    )
    return [json.loads(bytes(row.tolist())) for row in group.gather(row)]


def sees(path: Path) -> bool:
    """Return whether a file that was written on another node becomes visible in time."""
    deadline = time.monotonic() + MAX_VISIBILITY_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
