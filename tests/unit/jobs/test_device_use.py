"""A job says on how many GPUs it has computed: none on a CPU, nothing where it failed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dnalm.jobs.device_use import read_gpus, use_file

SCRIPTS = Path(__file__).parents[3] / "scripts"
PROGRAM = """
import sys
from dnalm.jobs.job import job

with job(sys.argv[1]):
    {work}
"""


def run(log, work):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(work=work), str(log)],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.parametrize("work", ["pass", "import torch; torch.ones(3)"])
def test_a_job_on_the_cpu_has_taken_no_gpu(tmp_path, work):
    log = tmp_path / "simulated.promoters.log"
    assert math.isnan(read_gpus(log))
    assert run(log, work) == 0
    assert read_gpus(log) == 0
    assert use_file(log) == tmp_path / "simulated.promoters.devices.json"


def test_of_an_attempt_that_failed_nothing_is_said(tmp_path):
    log = tmp_path / "x.log"
    assert run(log, "pass") == 0
    assert run(log, "raise ValueError") == 1
    assert math.isnan(read_gpus(log))


def test_where_nothing_is_logged_nothing_is_written(tmp_path):
    assert run(os.devnull, "pass") == 0
    assert not use_file(os.devnull).exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpus_of_all_processes_count(tmp_path):
    log = tmp_path / "x.log"
    work = (
        "import torch; from dnalm.jobs.device_use import note_processes; note_processes(4); "
        "torch.ones(3, device='cuda')"
    )
    assert run(log, work) == 0
    assert read_gpus(log) == 4
    assert json.loads(use_file(log).read_text())["names"] == [torch.cuda.get_device_name(0)]
