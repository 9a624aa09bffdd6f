"""A check of the cluster, in real processes that exchange by gloo."""

import json
import os
import re
import socket
import subprocess

import pytest

from dnalm.training.arguments import Allocation, parse_check
from dnalm.training.preflight import LIBRARY

CHECKER = LIBRARY.parent / "check_training.py"
PATIENCE_SECONDS = 300


def check(job, tmp_path, *options):
    """Run the check of a job's model; return its exit code, errors and result."""
    result = tmp_path / "models" / "cluster_check.json"
    result.parent.mkdir(exist_ok=True)
    command = [job.command[0], str(CHECKER), "--run", str(job.folder / "run.json")]
    command += ["--operation", str(job.folder / "operation.json"), "--result", str(result)]
    command += ["--log", str(tmp_path / "check.log"), "--tokens", "64", *options]
    environment = {key: value for key, value in os.environ.items() if "SLURM" not in key}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        timeout=PATIENCE_SECONDS,
    )
    return done.returncode, done.stderr, json.loads(result.read_text()) if result.exists() else None


def test_two_processes_say_how_fast_they_exchange_and_leave_nothing_behind(make_job, tmp_path):
    def change(run, operation):
        run["pretrain"]["precision"] = "auto"
        operation |= {"processes": 2, "sharding": "hybrid"}

    job = make_job(change)
    code, errors, facts = check(job, tmp_path)
    assert code == 0, errors
    assert (facts["processes"], facts["hosts"]) == (2, [socket.gethostname()])
    assert (facts["device"], facts["precision"]) == ("CPU", "float32")
    assert facts["micro_batch"] >= 1
    measured = facts["all_reduce"]
    # The bus bandwidth of two processes is the bytes a second.
    expected = measured["bytes"] / measured["seconds"] / 1e9
    assert measured["gigabytes_per_second"] == pytest.approx(expected, rel=0.01)
    assert facts["gradients_seconds"] >= 0
    log = (tmp_path / "check.log").read_text()
    assert "Pre-flight: 2 processes" in log
    assert "can be trained by 2 processes" in log.splitlines()[-1]
    assert list((tmp_path / "models" / "state").iterdir()) == []


def test_one_process_exchanges_nothing(make_job, tmp_path):
    code, errors, facts = check(make_job(), tmp_path)
    assert code == 0, errors
    assert facts["processes"] == 1
    assert facts["all_reduce"]["gigabytes_per_second"] == 0


def test_gpus_that_are_asked_for_and_not_there_end_the_check_with_a_sentence(make_job, tmp_path):
    options = ("--gpus-per-node", "1", "--runtime-minutes", "15")
    code, errors, facts = check(make_job(), tmp_path, *options)
    assert code == 1
    assert "sees 0 GPUs, but 1 were asked for on each node" in errors
    assert "Traceback" not in errors
    assert facts is None


def test_a_device_that_holds_no_sequence_ends_the_check_with_the_numbers(make_job, tmp_path):
    def change(run, operation):
        operation["micro_batch"] = "auto"

    code, errors, facts = check(make_job(change), tmp_path, "--tokens", "1000000000")
    assert code == 1
    numbers = r"One sequence of 1,000,000,000 tokens takes [\d.]+ GB .* has [\d.]+ GB"
    assert re.search(numbers, errors)
    assert "Traceback" not in errors
    assert facts is None


def test_a_pass_of_named_sequences_is_held_against_the_memory(make_job, tmp_path):
    def change(run, operation):
        run["pretrain"]["batch_sequences"] = 100_000
        operation["micro_batch"] = 90_000

    code, errors, facts = check(make_job(change), tmp_path, "--tokens", "100000")
    assert code == 1
    # Two passes of the same size make a step of 100,000.
    numbers = (
        r"A pass of 50,000 sequences of 100,000 tokens takes ([\d,.]+) GB .* has ([\d,.]+) GB, of"
        r" which 90% can be used: set operation\.micro_batch to ([\d,]+), the most that fit"
    )
    needed, there, most = re.search(numbers, errors).groups()
    assert float(needed.replace(",", "")) > float(there.replace(",", ""))
    assert facts is None

    def follow(run, operation):
        change(run, operation)
        operation["micro_batch"] = int(most.replace(",", ""))

    code, errors, facts = check(make_job(follow), tmp_path, "--tokens", "100000")
    assert code == 0, errors
    assert 0 < facts["pass_gb"] <= 0.9 * facts["memory_gb"]
    assert facts["most_sequences"] >= facts["micro_batch"] == int(most.replace(",", ""))
    log = (tmp_path / "check.log").read_text()
    assert re.search(r"A pass of [\d,]+ sequences? of 100,000 tokens takes .* GB .*at most", log)


def test_the_numbers_of_a_check_are_read_as_those_of_a_training():
    files = ["--run", "r", "--operation", "o", "--result", "c", "--log", "l", "--tokens", "9"]
    numbers = ["--nodes", "16", "--gpus-per-node", "8"]
    alone = Allocation(nodes=1, gpus_per_node=0, runtime_minutes=0)
    assert parse_check([*files, *numbers])[1:] == (9, alone)
    granted = parse_check([*files, *numbers, "--runtime-minutes", "15"])[2]
    assert granted == Allocation(nodes=16, gpus_per_node=8, runtime_minutes=15)
