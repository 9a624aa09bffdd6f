"""What a stopped run asks of Slurm; a program on the PATH stands in for scontrol and squeue.

`make test-slurm` asks the real ones.
"""

import json
import os
import stat
import subprocess
import time

import pytest

from dnalm.training.requeue import RUN_AGAIN, Stop, ask_seconds_left, find_job, find_limit, requeue

PATIENCE_SECONDS = 600


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that puts a client on the PATH which answers so; and the calls it got."""
    calls = tmp_path / "calls"

    def install(program, answer, code=0):
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'#!/bin/sh\necho "{program} $*" >> {calls}\necho "{answer}"\nexit {code}\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return lambda: calls.read_text().splitlines() if calls.exists() else []

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return install


def stop(*requests, gained=5):
    return Stop(reason="its time limit of 10 minutes", requests=requests, gained=gained)


@pytest.mark.parametrize("requests", [("its time limit of 10 minutes", None), (None, "SIGUSR1")])
def test_a_job_that_ran_out_of_time_is_queued_again(slurm, requests):
    calls = slurm("scontrol", "")
    sentence = requeue(stop(*requests), job="4711", scheduled=True)
    assert sentence == "Slurm job 4711 is queued again and goes on from there"
    assert calls() == ["scontrol requeue 4711"]


@pytest.mark.parametrize(
    "requests",
    [("SIGTERM", None), ("its time limit", None, "SIGTERM"), ("SIGINT",), (None, "SIGHUP")],
)
def test_a_job_that_somebody_ended_is_not_queued_again(slurm, requests):
    calls = slurm("scontrol", "")
    assert requeue(stop(*requests), job="4711", scheduled=True) == RUN_AGAIN
    assert calls() == []


def test_a_job_that_gained_no_step_is_not_queued_again(slurm):
    calls = slurm("scontrol", "")
    sentence = requeue(stop("SIGUSR1", gained=0), job="4711", scheduled=True)
    assert "job 4711 gained no step since it was started and is not queued again" in sentence
    assert calls() == []


@pytest.mark.parametrize(("job", "scheduled"), [(None, True), ("4711", False), (None, False)])
def test_a_run_that_no_scheduler_gave_a_time_stays_where_it_is(slurm, job, scheduled):
    """Inside a job of somebody's own, which Snakemake shares with other things."""
    calls = slurm("scontrol", "")
    assert requeue(stop("SIGUSR1"), job=job, scheduled=scheduled) == RUN_AGAIN
    assert calls() == []


def test_a_refusal_of_slurm_is_repeated(slurm):
    slurm("scontrol", "Requested operation is presently disabled for job 4711", code=1)
    sentence = requeue(stop("SIGUSR1"), job="4711", scheduled=True)
    assert "refused to queue job 4711 again (Requested operation is presently dis" in sentence
    assert RUN_AGAIN in sentence


def test_without_scontrol_the_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = requeue(stop("SIGUSR1"), job="4711", scheduled=True)
    assert "'scontrol'" in sentence
    assert RUN_AGAIN in sentence


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("4:05", 245),
        ("1:00:00", 3600),
        ("2-03:00:01", 2 * 86_400 + 3 * 3600 + 1),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_the_time_that_is_left_is_read_as_slurm_writes_it(slurm, answer, seconds):
    calls = slurm("squeue", answer)
    assert ask_seconds_left("4711") == seconds
    assert calls() == ["squeue --noheader --jobs 4711 --format %L"]


def test_a_job_slurm_does_not_know_has_no_time_left_to_speak_of(slurm):
    slurm("squeue", "slurm_load_jobs error: Invalid job id specified", code=1)
    assert ask_seconds_left("4711") is None


@pytest.mark.parametrize(
    ("wanted", "granted", "minutes"),
    [
        (None, 0, None),
        (30, 0, 30),
        (None, 60, 60),
        (30, 60, 30),
        (90.5, 60, 60),
        (None, None, None),
    ],
)
def test_the_smaller_of_two_limits_counts_and_0_is_none(monkeypatch, wanted, granted, minutes):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert find_limit(wanted, granted, started=time.monotonic()) == minutes


def test_what_the_job_used_up_before_the_trainer_began_counts(slurm, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    slurm("squeue", "50:00")
    began_100_seconds_ago = time.monotonic() - 100
    found = find_limit(None, 60, started=began_100_seconds_ago)
    assert found == pytest.approx(50 + 100 / 60, abs=0.1)
    assert find_limit(None, 40, started=began_100_seconds_ago) == 40


def test_a_job_is_found_by_its_number():
    assert find_job({"SLURM_JOB_ID": "4711"}) == "4711"
    assert find_job({"SLURM_JOB_ID": ""}) is None
    assert find_job({}) is None


def test_a_trainer_out_of_time_saves_and_queues_its_job_again(slurm, make_job):
    """The whole command, of two processes, as rule pretrain writes it."""
    calls = slurm("scontrol", "")
    slurm("squeue", "1:00")

    def long_run(run, operation):
        run["pretrain"]["steps"] = 10**6
        operation |= {"processes": 2, "runtime_minutes": 0.1, "validate_every": 10**6}

    job = make_job(long_run)
    outside = {key: value for key, value in os.environ.items() if "SLURM" not in key}
    done = subprocess.run(
        [*job.command, "--nodes", "1", "--gpus-per-node", "0", "--runtime-minutes", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env=outside | {"SLURM_JOB_ID": "4711"},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "its time limit of 0.1 minutes and has saved its state; Slurm job 4711 is q" in done.stderr
    )
    assert calls() == ["squeue --noheader --jobs 4711 --format %L", "scontrol requeue 4711"]
    assert not (job.state / "lock.json").exists(), "the next start would be refused"
    last = json.loads((job.state / "history.jsonl").read_text().splitlines()[-1])
    saved = max(int(path.name[5:]) for path in (job.state / "checkpoints").iterdir())
    assert saved == last["step"]
