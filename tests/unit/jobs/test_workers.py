"""Calls in other processes: their results, and that they end with the job that is killed."""

import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest

from dnalm.jobs.workers import run_apart, run_in_workers

LIBRARY = Path(__file__).parents[3] / "scripts" / "dnalm"
JOB = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {scripts!r})
import joblib
from dnalm.jobs.workers import run_in_workers

def work(folder, seconds):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(seconds)

if __name__ == "__main__":
    # The second call is over when the job is killed: an idle worker holds its device as well.
    run_in_workers((joblib.delayed(work)(sys.argv[1], seconds) for seconds in (600, 0)), 2)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_results_are_those_of_the_calls_in_their_order(processes):
    calls = (joblib.delayed(operator.truediv)(number, 2) for number in range(5))
    assert list(run_in_workers(calls, processes)) == [0, 0.5, 1, 1.5, 2]


def test_a_call_apart_may_end_its_process_and_the_next_one_has_another():
    first = run_apart(os.getpid)
    assert first != os.getpid()
    assert run_apart(os.getpid) == first
    with pytest.raises(ChildProcessError):
        run_apart(os.abort)
    assert run_apart(operator.truediv, 1, 2) == 0.5
    with pytest.raises(ZeroDivisionError):
        run_apart(operator.truediv, 1, 0)


def test_busy_and_idle_processes_end_with_a_job_that_is_killed(tmp_path):
    script, seen = tmp_path / "job.py", tmp_path / "seen"
    seen.mkdir()
    script.write_text(JOB.format(scripts=str(LIBRARY.parent)))
    job = subprocess.Popen([sys.executable, script, seen])
    deadline = time.monotonic() + 120
    while len(list(seen.iterdir())) < 2:
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.kill()
    job.wait()
    deadline = time.monotonic() + 60
    while any(Path("/proc", worker.name).exists() for worker in seen.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_no_other_module_starts_workers():
    """Which would outlive their job."""
    starting = [path for path in LIBRARY.rglob("*.py") if "joblib.Parallel" in path.read_text()]
    assert starting == [LIBRARY / "jobs" / "workers.py"]
