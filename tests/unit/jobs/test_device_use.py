"""A job says on how many GPUs it has computed, and what its attempts took that were stopped."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dnalm.benchmark.embedding import shards
from dnalm.errors import NoSpaceError
from dnalm.jobs import device_use
from dnalm.jobs.device_use import read_earlier, read_gpus, use_file
from dnalm.variants import run as run_of_variants
from dnalm.variants.run import Scoring

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


def write_attempt(log, *, ended, seconds, gpus, earlier=()):
    facts = {"ended": ended, "seconds": seconds, "gpus": gpus, "names": [], "earlier": [*earlier]}
    use_file(log).write_text(json.dumps(facts))


def test_attempts_that_were_stopped_count_until_one_ends(tmp_path):
    log = tmp_path / "x.log"
    first = {"seconds": 3600.0, "gpus": 8}
    write_attempt(log, ended=False, seconds=600.0, gpus=4, earlier=[first])
    assert run(log, "pass") == 0
    assert read_gpus(log) == 0
    assert read_earlier(log) == (4200, 3600 * 8 + 600 * 4)
    assert run(log, "pass") == 0
    assert read_earlier(log) == (0, 0)


def test_of_a_killed_attempt_what_it_wrote_last_is_kept(tmp_path):
    log = tmp_path / "x.log"
    use = use_file(log)
    work = "import time; from dnalm.jobs.device_use import note_devices, save_use; "
    work += "note_devices(['cuda:0', 'cuda:1']); time.sleep(1.5); save_use(); "
    work += "print('saved', flush=True); time.sleep(600)"
    program = [sys.executable, "-c", PROGRAM.format(work=work), str(log)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"saved\n"
        killed.send_signal(signal.SIGKILL)
    seconds = json.loads(use.read_text())["seconds"]
    assert seconds >= 1.5
    assert math.isnan(read_gpus(log))
    assert run(log, "raise ValueError") == 1
    assert run(log, "pass") == 0
    assert len(json.loads(use.read_text())["earlier"]) == 2
    assert read_earlier(log)[1] == pytest.approx(2 * seconds)


@pytest.mark.parametrize("error", [NoSpaceError("the disk is full"), PermissionError()])
def test_a_job_does_not_fail_where_its_use_cannot_be_written(tmp_path, monkeypatch, error):
    def refuse(path, value):
        raise error

    monkeypatch.setattr(device_use, "write_json", refuse)
    with device_use.recorded_use(tmp_path / "x.log"):
        pass
    assert math.isnan(read_gpus(tmp_path / "x.log"))


def test_a_damaged_file_of_an_earlier_attempt_stops_no_job(tmp_path):
    log = tmp_path / "x.log"
    use_file(log).write_text('{"ended": fal')
    assert run(log, "pass") == 0
    assert (read_gpus(log), read_earlier(log)) == (0, (0, 0))


def test_a_file_of_a_release_without_attempts_is_read(tmp_path):
    log = tmp_path / "x.log"
    use_file(log).write_text(json.dumps({"gpus": 2, "names": ["NVIDIA A100"]}))
    assert (read_gpus(log), read_earlier(log)) == (2, (0, 0))
    assert run(log, "pass") == 0
    assert (read_gpus(log), read_earlier(log)) == (0, (0, 0))


@pytest.mark.parametrize(
    ("devices", "gpus"), [(["cuda:0", "cuda:1"], 2), (["cpu"] * 8, 0), (["cuda:0", "cuda:0"], 1)]
)
def test_gpus_of_processes_that_a_job_starts_count(tmp_path, devices, gpus):
    """The job itself, which only waits for them, has touched none."""
    log = tmp_path / "x.log"
    work = f"from dnalm.jobs.device_use import note_devices; note_devices({devices})"
    assert run(log, work) == 0
    assert read_gpus(log) == gpus


@pytest.mark.parametrize("module", [shards, run_of_variants])
def test_a_process_per_device_is_noted(module, monkeypatch):
    """Two of three GPUs get something of two parts to do; who does it is not asked here."""
    given = []

    def run(calls, processes):
        given.extend(device for call in calls for device in call[1] if "cuda" in str(device))

    monkeypatch.setattr(module, "run_in_workers", run)
    monkeypatch.setattr(device_use, "_devices", set())
    monkeypatch.setattr(device_use, "_processes", 1)  # which other tests have left
    kept = SimpleNamespace(find=lambda name: None)
    devices = ["cuda:0", "cuda:1", "cuda:2"]
    if module is shards:
        parts = [SimpleNamespace(name=name, rows=range(2)) for name in "ab"]
        config = SimpleNamespace(dtype="float32", strands="forward")
        model = SimpleNamespace(layers=lambda: [1], width=lambda: 4, config=config)
        shards._make_missing(model, parts, kept, devices)
    else:
        monkeypatch.setattr(run_of_variants, "_tell_time", lambda *_: None)
        scoring = Scoring(**dict.fromkeys((one.name for one in fields(Scoring)), 1))
        found = SimpleNamespace(parts=2, passes=8)
        run_of_variants._make_missing(scoring, found, None, kept, devices)
    assert given == ["cuda:0", "cuda:1"]
    assert device_use.describe_use({})["gpus"] == 2


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
