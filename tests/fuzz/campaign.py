"""A campaign: every target in a process of its own, counts, and the faults that were found."""

import logging
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dnalm.jobs.progress import Progress
from fuzz.case import Case
from fuzz.child import Board, Limits, fuzz
from fuzz.target import Target

SILENT_SECONDS = 60  # of a processor, or of waiting, for an input whose process no alarm wakes
MOST_CRASHES = 5  # of a target, whose process is started again behind the input
LOOK_SECONDS = 0.2
ERROR = "error.txt"  # of the harness itself
MEMORY_FOLDER = Path("/dev/shm")  # files that live for a millisecond need no disk

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came of a target's inputs."""

    target: str
    inputs: int
    read: int
    refused: int
    faults: int
    seconds: float


def run(
    targets: Sequence[Target],
    *,
    seed: int,
    seconds: float,
    least: int,
    most: int,
    kept: Sequence[Case],
    faults: Path,
) -> list[Tally]:
    """Give made inputs to the targets for so many seconds in all, and return what came of them.

    `kept` are inputs that come first, those that once failed; `faults` is the folder for the new.
    """
    shares = sum(target.weight for target in targets)
    tallies = []
    with Progress("fuzz", "inputs") as progress:
        for target in targets:
            limits = Limits(seconds=seconds * target.weight / shares, least=least, most=most)
            own = [case for case in kept if case.target == target.name]
            progress.note(f"now {target.name}")
            tallies.append(run_target(target, own, seed, limits, faults, progress))
            log.info("%s", line_of(tallies[-1]))
    return tallies


def run_target(
    target: Target,
    kept: Sequence[Case],
    seed: int,
    limits: Limits,
    faults: Path,
    progress: Progress,
) -> Tally:
    """Return what came of a target's inputs; a crash of its process is a fault of the last one."""
    board, begun, first, crashes = Board(), time.monotonic(), 0, 0
    where = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dnalm-fuzz-", dir=where) as folder:
        while True:
            board.tell()
            process = os.fork()
            if not process:
                status = 1
                try:
                    fuzz(target, kept, seed, first, limits, board, Path(folder), faults)
                    status = 0
                except BaseException:
                    (Path(folder) / ERROR).write_text(traceback.format_exc())
                finally:
                    os._exit(status)
            why = _wait(process, board, progress)
            if not why:
                break
            crashes += 1
            if (error := Path(folder) / ERROR).exists():
                raise RuntimeError(
                    f"the harness itself fails on {target.name}:\n{error.read_text()}"
                )
            board.counts["faults"] += 1
            board.counts["inputs"] += 1
            # The file is what the process was given last, smaller than at first if it was shrunk.
            data = (Path(folder) / f"input{target.suffix}").read_bytes()
            number, valid = board.counts["number"], bool(board.counts["valid"])
            case = Case(
                target=target.name, data=data, valid=valid, seed=seed, number=number, fault=why
            )
            case.write(faults)
            first = number + 1
            if crashes == MOST_CRASHES or number < 0:
                break
    counts = {key: board.counts[key] for key in ("inputs", "read", "refused", "faults")}
    return Tally(target=target.name, seconds=time.monotonic() - begun, **counts)


def _wait(process: int, board: Board, progress: Progress) -> str:
    """Return how a process ended that should not have, "" for one that came to its end."""
    told, newest, begun, asleep = board.counts["inputs"], 0.0, 0.0, 0.0
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if (now := board.look()) != newest:
            newest, asleep, begun = now, 0.0, _seconds_of(process)[1]
        progress.advance(board.counts["inputs"] - told)
        told = board.counts["inputs"]
        if ended:
            break
        sleeps, seconds = _seconds_of(process)
        asleep += LOOK_SECONDS if sleeps else 0
        if max(asleep, seconds - begun) > SILENT_SECONDS * (4 if board.counts["shrinking"] else 1):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return f"it takes more than {SILENT_SECONDS} seconds, and no alarm wakes it"
        time.sleep(LOOK_SECONDS)
    if os.WIFSIGNALED(status):
        return f"the process was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    code = os.WEXITSTATUS(status)
    return f"the process ended with status {code}" if code else ""


def _seconds_of(process: int) -> tuple[bool, float]:
    """Return whether a process waits for something, and the processor's seconds that it had."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False, 0.0
    ticks = int(stat[11]) + int(stat[12])
    return stat[0] in "SD", ticks / os.sysconf("SC_CLK_TCK")


def line_of(tally: Tally) -> str:
    """Return a target's counts as a line of the table."""
    rate = tally.inputs / max(tally.seconds, 1e-9)
    return (
        f"{tally.target:<22}{tally.inputs:>10,}{tally.read:>10,}{tally.refused:>10,}"
        f"{tally.faults:>8,}{rate:>10,.0f}"
    )


HEADER = f"{'target':<22}{'inputs':>10}{'read':>10}{'refused':>10}{'faults':>8}{'inputs/s':>10}"
