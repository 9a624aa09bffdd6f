"""The processes of one job that shards an encoder: this one and helpers, one for each GPU."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from dnalm.errors import InputError
from dnalm.parallel.distributed import RENDEZVOUS_VARIABLES, Group

HELPER = "dnalm.benchmark.finetuning.helper"
LIBRARY = Path(__file__).parents[3]
# For this process once a helper has failed: whatever ended both is better said by this one.
GRACE_SECONDS = 30
log = logging.getLogger(__name__)


@contextmanager
def start_helpers(task: Mapping[str, Any], size: int) -> Iterator[Group]:
    """Start the other processes of a group of `size` on this machine; yield it to its first.

    A helper gets `task` as JSON. Without a GPU they share the processor. Raises InputError where
    there are fewer GPUs than processes, and where a helper does not come to a good end.
    """
    check_visible(size, torch.cuda.device_count() if torch.cuda.is_available() else size)
    with socket.create_server(("localhost", 0)) as server:
        meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(server.getsockname()[1])}
    meeting["WORLD_SIZE"] = str(size)
    ranks = [meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]
    helpers = [_start(task, own) for own in ranks[1:]]
    log.info("%d processes share the encoder, in shards", size)
    done = threading.Event()
    threading.Thread(target=_watch, args=(helpers, done), daemon=True).start()
    try:
        with _environment(), closing(Group(ranks[0])) as group:
            yield group
        for rank, helper in enumerate(helpers, start=1):
            if code := helper.wait():
                raise InputError(f"Process {rank} of {size} ended with code {code}; see above.")
    finally:
        done.set()
        for helper in helpers:
            helper.kill()
            helper.wait()


def check_visible(wanted: int, visible: int) -> None:
    """Raise InputError where fewer GPUs are visible than are wanted."""
    if visible < wanted:
        raise InputError(
            f"finetune.operation.gpus asks for {wanted} GPUs, but {visible} are visible here: "
            "lower it, or ask the scheduler for as many."
        )


def _start(task: Mapping[str, Any], own: Mapping[str, str]) -> subprocess.Popen:
    paths = [str(LIBRARY), *filter(None, [os.environ.get("PYTHONPATH")])]
    helper = subprocess.Popen(
        [sys.executable, "-m", HELPER],
        stdin=subprocess.PIPE,
        text=True,
        env=os.environ | own | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    helper.stdin.write(json.dumps(task))
    helper.stdin.close()
    return helper


def _watch(helpers: Sequence[subprocess.Popen], done: threading.Event) -> None:
    """End this process where a helper has failed: a collective would wait for it for ever."""
    while not done.wait(1):
        if codes := [code for helper in helpers if (code := helper.poll())]:
            if done.wait(GRACE_SECONDS):
                return
            sentence = (
                f"A process of this fine-tuning ended with code {codes[0]}, and the others cannot "
                "go on without it: look at what it wrote, then run again."
            )
            log.error("%s", sentence)
            print(f"Error: {sentence}", file=sys.stderr, flush=True)
            for helper in helpers:
                helper.kill()
            os._exit(1)


@contextmanager
def _environment() -> Iterator[None]:
    """Put the variables back by which processes meet."""
    names = [*RENDEZVOUS_VARIABLES]
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
