"""How a program ends: with the exit code and the words of an ordinary end."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnalm.jobs.job import job

SCRIPTS = Path(__file__).parents[3] / "scripts"
PROGRAM = """
import atexit, sys
from dnalm.jobs.job import leave

def work():
    print("written")
    {last}

atexit.register(print, "taken down")
leave(work)
"""


@pytest.mark.parametrize(
    ("last", "code", "words"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('a sentence')", 1, "a sentence\n"),
        ("raise ValueError('a defect')", 1, "ValueError: a defect\n"),
        ("raise KeyboardInterrupt", 1, "start the same command again to go on.\n"),
    ],
)
def test_the_exit_code_is_kept_and_the_interpreter_not_taken_down(last, code, words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(last=last)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == "written\n"
    assert done.stderr.endswith(words)
    assert bool(done.stderr) == bool(words)


def test_a_job_that_is_interrupted_ends_with_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="start the same command again"), job(tmp_path / "log"):
        raise KeyboardInterrupt
    assert "ERROR root: interrupted" in (tmp_path / "log").read_text()


def test_a_job_whose_log_finds_no_room_goes_on_and_says_so_once(tmp_path, capfd):
    log = tmp_path / "log"
    log.symlink_to("/dev/full")  # on which every write finds a full disk
    with job(log):
        logging.info("first")
        logging.info("second")
    with job(tmp_path / "another"):
        pass
    said = capfd.readouterr().err
    assert said.count("ends here: No space left on device; the job goes on.") == 1
    assert "Traceback" not in said
