import os
import signal
import time

import pytest
from torch.distributed.run import config_from_args, parse_args

from dnalm.errors import InputError
from dnalm.parallel.distributed import (
    MAX_STOP_SECONDS,
    Group,
    become_launcher,
    count_processes,
    find_environment,
)
from dnalm.training.interruption import Interruption


def test_torchrun_is_joined_as_it_says():
    given = {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "9",
    }
    assert find_environment(given | {"SLURM_STEP_NUM_TASKS": "16", "HOME": "/"}) == given


def test_torchrun_takes_our_options_and_lets_processes_save(monkeypatch):
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "1")
    started = []
    monkeypatch.setattr(os, "execvp", lambda program, command: started.extend(command))
    become_launcher(["train.py", "--run", "a.json"], nodes=1, processes=3, gpus=0)
    config, program, arguments = config_from_args(parse_args(started[3:]))
    assert (config.nproc_per_node, config.max_nodes) == (3, 1)
    assert "SIGUSR1" in config.signals_to_handle
    assert (program, arguments[-3:]) == (started[0], ["train.py", "--run", "a.json"])
    # torch 2.11 has no such setting.
    assert getattr(config, "shutdown_timeout", MAX_STOP_SECONDS) == MAX_STOP_SECONDS


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node7", "node7"),
        ("gpu-a[003-004,9]", "gpu-a003"),
        ("gpu[12,15]", "gpu12"),
        ("left,right", "left"),
    ],
)
def test_tasks_of_srun_meet_on_their_first_node(nodes, first):
    step = {
        "SLURM_STEP_NUM_TASKS": "16",
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_PROCID": "9",
        "SLURM_LOCALID": "1",
        "SLURM_JOB_ID": "1234567",
    }
    found = find_environment(step)
    assert (found["RANK"], found["WORLD_SIZE"], found["LOCAL_RANK"]) == ("9", "16", "1")
    assert found["MASTER_ADDR"] == first
    assert found["MASTER_PORT"] == find_environment(step | {"SLURM_PROCID": "0"})["MASTER_PORT"]


def test_a_single_task_of_srun_and_a_plain_process_are_alone():
    assert find_environment({}) is None
    assert find_environment({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


def test_alone_every_exchange_returns_what_it_was_given():
    group = Group(None)
    assert group.sum_numbers(3, 0.5) == [3, 0.5]
    assert group.from_first(lambda: {"a": [1]}) == {"a": [1]}

    def refuse():
        raise InputError("a sentence.")

    with pytest.raises(InputError, match="a sentence"):
        group.from_first(refuse)


def test_a_given_number_of_processes_is_taken_and_auto_is_at_least_one():
    assert count_processes(3) == 3
    assert count_processes("auto") >= 1


def test_training_stops_before_its_time_is_over():
    now = time.monotonic()
    with Interruption(10, started=now - 9 * 60) as early:
        assert early.reason is None
        early.note_checkpoint(15)  # 45 s and the 30 s that are kept anyway
        assert early.reason == "its time limit of 10 minutes"
    with Interruption(10, started=now - 9.6 * 60) as late:
        assert late.reason == "its time limit of 10 minutes"
    with Interruption(None, started=now - 10**6) as endless:
        assert endless.reason is None


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name
)
def test_signals_are_noted_and_handlers_given_back(number):
    before = signal.getsignal(number)
    with Interruption(None, started=0.0) as interruption:
        signal.raise_signal(number)
        assert interruption.reason == number.name
    assert signal.getsignal(number) == before


def test_a_session_that_ends_stops_nothing_that_was_started_to_outlive_it():
    """As `nohup` and `setsid` in the background do: they ignore the signal, and so do we."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption(None, started=0.0) as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.reason is None
    finally:
        signal.signal(signal.SIGHUP, before)
