"""Runs jobs in a worker process within a time; what ends the worker costs one job, not the rest."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from on_gpu.jobs import START_SECONDS, Job
from on_gpu.results import Results, format_row

BENCH, SCRIPTS = Path(__file__).parents[1], Path(__file__).parents[3] / "scripts"
# A job may take so many times what is expected of it before it is given up.
PATIENCE = 2.5
LEAST_PATIENCE = 180.0  # seconds
ENDING_SECONDS = 5.0  # for a process that answers no more, to say by its exit code why


class NoDeviceError(Exception):
    """There is no such device, or nothing that can compute on it."""


class Worker:
    """A worker process, started when it is made; its answers can be waited for."""

    def __init__(self, options: Sequence[str], device: str) -> None:
        paths = [str(BENCH), str(SCRIPTS), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        if device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        if "--tiny" in options:
            # Compiling takes a CPU longer than all else, on small shapes threads as well. To try
            # the compiler, set the first to 0.
            environment = {"TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"} | environment
        self._process = subprocess.Popen(
            [sys.executable, "-m", "on_gpu.worker", "--device", device, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # so that its own children can be ended with it
        )
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def ask(self, job: Job) -> None:
        self._process.stdin.write(json.dumps({"part": job.part, "model": job.model}) + "\n")
        self._process.stdin.flush()

    def answer(self, deadline: float) -> dict[str, Any] | None:
        """Return the next answer, None where there will be none; TimeoutError behind `deadline`."""
        try:
            return self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None

    def end(self, seconds: float = 0) -> str:
        """End it and all it has started, `seconds` after it may have done so; return how it did."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Supervisor:
    """Works off jobs until none is left or the time is over; `deadline` is a `time.monotonic()`."""

    def __init__(
        self, results: Results, options: Sequence[str], device: str, deadline: float
    ) -> None:
        self.results, self.deadline = results, deadline
        self._options, self._device = options, device
        self._worker: Worker | None = None

    def work_off(self, jobs: Sequence[Job]) -> None:
        """Do what fits, in its order; raise `NoDeviceError` where there is no device."""
        for job in jobs:
            left = self.deadline - time.monotonic()
            needed = job.seconds + (0 if self._worker else START_SECONDS * (job.seconds > 0))
            if left < needed:
                why = f"takes about {needed:.0f} s, {max(left, 0):.0f} s are left"
                self._leave_out(job, why)
                continue
            begun = time.monotonic()
            self._do(job)
            now = time.monotonic()
            _say(f"{job}: {now - begun:.0f} s, {self.deadline - now:.0f} s left")

    def close(self) -> None:
        if self._worker:
            self._worker.end()
            self._worker = None

    def _do(self, job: Job) -> None:
        patience = max(LEAST_PATIENCE, PATIENCE * job.seconds)
        deadline = min(self.deadline, time.monotonic() + patience)
        _say(f"{job} …")
        try:
            if self._worker is None:
                self._worker = Worker(self._options, self._device)
                self._receive(self._worker.answer(deadline), job)
            self._worker.ask(job)
            while self._receive(self._worker.answer(deadline), job):
                pass
        except TimeoutError:
            self._worker.end()
            self._worker = None
            self._leave_out(job, "was stopped: the time was over", failed=deadline < self.deadline)
        except (BrokenPipeError, EOFError):
            how = self._worker.end(ENDING_SECONDS) if self._worker else "unknown"
            self._worker = None
            self._leave_out(job, f"ended its process ({how})", failed=True)

    def _receive(self, answer: dict[str, Any] | None, job: Job) -> bool:
        """Note what the worker answered; return whether the job goes on."""
        match answer:
            case None:
                raise EOFError
            case {"fault": why}:
                raise NoDeviceError(why)
            case {"ready": facts}:
                self.results.note(machine=facts)
            case {"row": row}:
                self.results.add(row)
                _say(format_row(row))
                return True
            case {"lacks": name}:
                self._leave_out(job, f"needs {name}, which is not installed")
            case {"failed": why}:
                self._leave_out(job, why, failed=True)
            case {"done": seconds, "clocks": clocks}:
                taken = self.results.content.setdefault("jobs", [])
                taken.append({"job": str(job), "seconds": seconds, "clocks": clocks})
                self.results.note(jobs=taken)
        return False

    def _leave_out(self, job: Job, why: str, *, failed: bool = False) -> None:
        _say(f"{job}: left out, {why}")
        self.results.leave_out(str(job), why, failed=failed)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
