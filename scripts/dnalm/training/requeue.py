"""Slurm: the time limit of a training job, and requeueing it after an early stop."""

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

logger = logging.getLogger(__name__)

MAX_ANSWER_SECONDS = 120  # slurmctld may be busy; afterwards we do without
TIME_LEFT_PATTERN = re.compile(
    r"(?:(?:(?P<days>\d+)-)?(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)"
)
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RUN_AGAIN = "run the same command again to continue"


@dataclass(frozen=True, kw_only=True)
class Stop:
    """An early stop of training, with the state saved.

    `reason` stands after "stopped by"; `requests` are the reasons of all processes,
    None where one had none of its own; `gained` steps were made since the start.
    """

    reason: str
    requests: tuple[str | None, ...]
    gained: int

    @property
    def is_final(self) -> bool:
        """Whether the job was told to end: by `scancel`, Ctrl-C, a closed session, a preemption."""
        return any(number.name in self.requests for number in ENDS)


def find_job(environ: Mapping[str, str]) -> str | None:
    """Return the number of the Slurm job that this process belongs to, None outside of any."""
    return environ.get("SLURM_JOB_ID") or None


def find_limit(wanted: float | None, granted: float | None, *, started: float) -> float | None:
    """Return the minutes from `started` after which training has to be over; None for no limit.

    The least of those a person `wanted`, of those that were `granted` to the whole job, and of what
    Slurm then says is left: the job began before we did. 0 and None are no limits. `started` is a
    `time.monotonic()`.
    """
    limits = [wanted, granted]
    if granted and (job := find_job(os.environ)):
        left = ask_seconds_left(job)
        limits.append(None if left is None else (time.monotonic() - started + left) / 60)
    return min((limit for limit in limits if limit), default=None)


def ask_seconds_left(job: str) -> float | None:
    """Return the seconds until Slurm ends `job`, None where it does not say."""
    code, answer = _ask("squeue", "--noheader", "--jobs", job, "--format", "%L")
    found = TIME_LEFT_PATTERN.fullmatch(answer) if code == 0 else None
    if found is None:
        logger.warning("Slurm does not say how long job %s may run: %s", job, answer)
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def requeue(stop: Stop, *, job: str | None, scheduled: bool) -> str:
    """Requeue a stopped Slurm job where that is wanted; return a sentence on what happens next.

    A job whose time limit is known (`scheduled`) goes back into the queue when it was
    stopped for lack of time and has gained a step: that uses up no retry of Snakemake's. Without a
    step it would come back for ever.
    """
    if job is None or not scheduled or stop.is_final:
        return RUN_AGAIN
    if not stop.gained:
        return (
            f"Slurm job {job} gained no step since it was started and is not queued again; give "
            "it more time (runtime of rule pretrain in the profile)"
        )
    code, answer = _ask("scontrol", "requeue", job)
    if code:
        return f"Slurm refused to queue job {job} again ({answer}); {RUN_AGAIN}"
    return f"Slurm job {job} is queued again and goes on from there"


def _ask(*command: str) -> tuple[int, str]:
    """Return the exit code of a client of Slurm and the last line it wrote."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAX_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, (done.stdout.strip().split("\n") or [""])[-1]
