"""Whole runs in processes of their own, as Snakemake starts them."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from safetensors.torch import load_file

from dnalm.errors import InputError
from dnalm.jobs.lock import Lock

TIMINGS = {"tokens_per_second", "data_wait_share", "peak_memory_bytes"}
PATIENCE_SECONDS = 600


def launch(job, **options):
    environment = {key: value for key, value in os.environ.items() if "SLURM" not in key}
    return subprocess.Popen(job.command, stderr=subprocess.PIPE, text=True, env=environment)


def finish(job):
    with launch(job) as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors


def wait_for_rows(job, rows, process):
    """Return once the history in the state folder has so many rows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = list((job.folder / "models").glob("state/*/history.jsonl"))
        if found and found[0].read_bytes().count(b"\n") >= rows:
            return
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def untimed(rows):
    return [{key: value for key, value in row.items() if key not in TIMINGS} for row in rows]


def assert_same_result(job, reference):
    assert untimed(job.history()) == untimed(reference.history())
    weights, wanted = load_file(job.weights), load_file(reference.weights)
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in weights)


def long_run(run, operation):
    run["pretrain"]["steps"] = 100
    operation |= {"checkpoint_every": 11, "log_every": 2, "validate_every": 50}


@pytest.fixture(scope="module")
def reference(make_job):
    """A long run that nothing has stopped."""
    job = make_job(long_run)
    job.train()
    return job


def assert_killed_run_ends_like_another(make_job, reference, seed):
    job = make_job(long_run)
    with launch(job) as process:
        wait_for_rows(job, random.Random(seed).randint(10, 35), process)
        process.kill()
        process.communicate()  # until it is gone
    assert process.returncode == -signal.SIGKILL
    assert not job.weights.exists()
    finish(job)
    assert "of 100 steps are done" in (job.folder / "log").read_text()
    assert_same_result(job, reference)


def test_a_killed_run_ends_with_the_same_history_and_weights(make_job, reference):
    assert_killed_run_ends_like_another(make_job, reference, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_runs_killed_anywhere_end_with_the_same_history_and_weights(make_job, reference, seed):
    assert_killed_run_ends_like_another(make_job, reference, seed)


def test_several_processes_give_the_curve_of_one(make_job):
    """Windows with N make the counts of selected tokens differ between processes."""

    def make(processes):
        def change(run, operation):
            # No number of processes but one divides ten sequences into equal passes of two.
            run["pretrain"] |= {"batch_sequences": 10, "steps": 20}
            run["encoder"]["token_dropout"] = 0.12
            operation |= {"micro_batch": 2, "checkpoint_every": 15, "processes": processes}

        return make_job(change)

    one = make(1)
    one.train()
    rows = one.history()
    norms = [row["gradient_norm"] for row in rows if "gradient_norm" in row]
    assert len(norms) == 20
    for processes in (2, 3):
        many = make(processes)
        finish(many)
        assert many.curve() == pytest.approx(one.curve(), abs=1e-5)
        # Adam hardly sees the scale of gradients, so that the losses alone would hide a wrong one.
        found = [row["gradient_norm"] for row in many.history() if "gradient_norm" in row]
        assert found == pytest.approx(norms, rel=1e-4)
        for key in ("step", "thin_windows"):
            assert [row.get(key) for row in many.history()] == [row.get(key) for row in rows]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_saves_and_ends_with_a_sentence(make_job, number):
    job = make_job(long_run)
    with launch(job) as process:
        wait_for_rows(job, 10, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert f"stopped by {number.name} and has saved" in errors
    assert "Traceback" not in errors
    stopped = max(int(path.name[5:]) for path in (job.state / "checkpoints").iterdir())
    last = json.loads((job.state / "history.jsonl").read_text().splitlines()[-1])
    assert stopped - last["step"] in (0, 1)
    assert stopped < 100
    assert not job.weights.exists()


def test_a_second_trainer_is_refused_with_the_name_of_the_first(make_job):
    job = make_job()
    job.train()
    (job.state / "checkpoints" / "step-00000012" / "progress.json").unlink()
    being_written = job.state / "checkpoints" / ".step-00000012.4711"
    being_written.mkdir()
    with (
        Lock(job.state / "lock.json"),
        pytest.raises(InputError, match=f"is being written by process {os.getpid()} on "),
    ):
        job.train()
    assert being_written.exists()
