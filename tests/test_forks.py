"""A job that is a fork ends, writes and is killed as one of an interpreter of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_forks import JobForks

SCRIPTS = {
    "environment": "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['FORK'], __file__)",
    "code": "import sys; print('before'); sys.exit(3)",
    "sentence": "import sys; sys.exit('Error: no such key')",
    "exit_handler": "import atexit; atexit.register(print, 'last'); print('first')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory) -> Iterator[Path]:
    jobs = JobForks(tmp_path_factory.mktemp("jobs"))
    yield jobs.interpreter
    jobs.close()


def run(interpreter: str | Path, script: Path) -> subprocess.CompletedProcess:
    command = [str(interpreter), script.name, "one", "two"]
    environment = os.environ | {"FORK": "given"}
    return subprocess.run(
        command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fork_does_what_an_interpreter_does(interpreter, tmp_path, name):
    script = tmp_path / "script.py"
    script.write_text(SCRIPTS[name])
    fork, alone = run(interpreter, script), run(sys.executable, script)
    # Snakemake only asks whether a job failed: a killed one gives any other code than 0.
    code = alone.returncode if alone.returncode >= 0 else 256 + alone.returncode
    assert (fork.returncode, fork.stdout, fork.stderr) == (code, alone.stdout, alone.stderr)


def test_an_error_is_shown_with_its_place(interpreter, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("number = 1\nraise ValueError('no number')\n")
    done = run(interpreter, script)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: no number")
    assert 'script.py", line 2' in done.stderr


def test_a_signal_reaches_the_job(interpreter, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import time; print('ready', flush=True); time.sleep(600)")
    job = subprocess.Popen([interpreter, script.name], cwd=tmp_path, stdout=subprocess.PIPE)
    assert job.stdout.readline() == b"ready\n"
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 256 - signal.SIGTERM


def test_other_calls_go_to_the_interpreter(interpreter):
    done = subprocess.run([interpreter, "-c", "print(6 * 7)"], capture_output=True, check=True)
    assert done.stdout == b"42\n"
