"""A job that is a fork ends, writes and is killed as one of an interpreter of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = {
    "environment": "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['FORK'], __file__)",
    "code": "import sys; print('before'); sys.exit(3)",
    "sentence": "import sys; sys.exit('Error: no such key')",
    "exit_handler": "import atexit; atexit.register(print, 'last'); print('first')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.fixture
def interpreter(job_forks) -> Path:
    return job_forks.interpreter


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
    wanted = (alone.returncode, alone.stdout, alone.stderr)
    assert (fork.returncode, fork.stdout, fork.stderr) == wanted


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
    assert job.wait(60) == -signal.SIGTERM


def test_other_calls_go_to_the_interpreter(interpreter):
    done = subprocess.run([interpreter, "-c", "print(6 * 7)"], capture_output=True, check=True)
    assert done.stdout == b"42\n"


def test_a_job_whose_client_is_killed_is_killed(interpreter, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    job = subprocess.Popen([interpreter, script.name], cwd=tmp_path, stdout=subprocess.PIPE)
    number = int(job.stdout.readline())
    job.kill()
    assert job.stdout.read() == b""  # its other end is closed when the fork has ended
    deadline = time.monotonic() + 60
    while Path(f"/proc/{number}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


RANKS = """
import os, sys
print(os.environ["RANK"], os.environ["WORLD_SIZE"], "torch" in sys.modules, *sys.argv[1:])
"""


def test_ranks_of_torchrun_are_forks(interpreter, tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    command = [interpreter, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*command, script, "one"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 2 True one", "1 2 True one"]
