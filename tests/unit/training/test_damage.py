"""What a run does when its disk, its processes or its memory fail."""

import os
import random
import resource
import shutil
import signal
import time

import pytest
import torch

from dnalm.errors import InputError
from dnalm.parallel.sharding import Layout
from dnalm.training.checkpoints import find_checkpoint
from dnalm.training.hardware import check_devices
from dnalm.training.memory import explain_out_of_memory
from dnalm.training.settings import Operation

PATIENCE_SECONDS = 600
STEPS, CADENCE = 60, 10


@pytest.fixture(scope="module")
def make(make_job):
    """Return a function that makes a job for one process, or for two that share the weights."""

    def make(size, steps=STEPS):
        def change(run, operation):
            run["pretrain"]["steps"] = steps
            operation |= {"checkpoint_every": CADENCE, "log_every": 20, "validate_every": 60}
            operation |= {"sharding": "full", "micro_batch": 6 // size}

        return make_job(change)

    return make


@pytest.fixture(scope="module")
def undisturbed(make, train_together):
    """Runs that nothing has stopped, by the number of their processes."""
    return {size: train_together(make(size), size) for size in (1, 2)}


def wait_until(condition, processes):
    """Return once `condition()` holds while all processes run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert all(process.is_alive() for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.002)


def end(processes):
    """Return the exit codes of processes that end by themselves."""
    for process in processes:
        process.join(timeout=PATIENCE_SECONDS)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


def count_saved(job):
    """Return the step of the newest checkpoint, 0 when there is none."""
    found = (job.folder / "models").glob("state/*/checkpoints/step-*")
    return max((int(path.name.removeprefix("step-")) for path in found), default=0)


def flip_a_byte(path):
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x01]))


@pytest.mark.parametrize(
    ("size", "file"),
    [
        (1, "model.safetensors"),
        (1, "optimizer.safetensors"),
        (2, "shards/__1_0.distcp"),
        (2, "shards/.metadata"),
    ],
)
@pytest.mark.parametrize("damage", [flip_a_byte, os.unlink])
def test_a_damaged_newest_checkpoint_is_passed_over(
    undisturbed, tmp_path, caplog, size, file, damage
):
    folder = tmp_path / "checkpoints"
    shutil.copytree(undisturbed[size].state / "checkpoints", folder)
    assert find_checkpoint(folder).name == f"step-{STEPS:08d}"
    damage(folder / f"step-{STEPS:08d}" / file)
    assert find_checkpoint(folder).name == f"step-{STEPS - CADENCE:08d}"
    word = "is damaged" if damage is flip_a_byte else "is not complete"
    assert f"step-{STEPS:08d} {word}" in caplog.text


@pytest.mark.parametrize("size", [1, 2])
def test_a_run_goes_on_from_before_the_damage_to_the_same_weights(
    make, train_together, undisturbed, size
):
    whole, job = undisturbed[size], make(size)
    shutil.copytree(whole.state.parent, job.folder / "models" / "state")
    newest = job.state / "checkpoints" / f"step-{STEPS:08d}"
    flip_a_byte(newest / ("model.safetensors" if size == 1 else "shards/__0_0.distcp"))
    train_together(job, size)
    log = (job.folder / "log").read_text()
    assert "is damaged" in log
    assert f"{STEPS - CADENCE} of {STEPS} steps are done" in log
    assert job.weights.read_bytes() == whole.weights.read_bytes()
    assert job.curve() == whole.curve()


@pytest.fixture
def kill_and_go_on(start_together, train_together):
    """Return a function that kills a process of one run at so many random moments, then ends it."""

    def kill_and_go_on(job, size, *, kills):
        chance = random.Random(size)
        for _ in range(kills):
            saved = count_saved(job)
            processes = start_together(job, size)
            wait_until(lambda saved=saved: count_saved(job) > saved, processes)
            time.sleep(chance.uniform(0, 0.03))
            chance.choice(processes).kill()
            codes = end(processes)
            if codes == [0] * size:  # it was faster than its killer
                return
            assert -signal.SIGKILL in codes
        train_together(job, size)

    return kill_and_go_on


@pytest.mark.parametrize("size", [1, 2])
def test_a_run_killed_three_times_ends_with_the_same_weights(
    make, kill_and_go_on, undisturbed, size
):
    job, whole = make(size), undisturbed[size]
    kill_and_go_on(job, size, kills=3)
    assert job.weights.read_bytes() == whole.weights.read_bytes()
    assert job.curve() == whole.curve()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
def test_a_run_killed_twenty_times_ends_with_the_same_weights(
    make, kill_and_go_on, train_together, size
):
    job, whole = make(size, steps=600), train_together(make(size, steps=600), size)
    kill_and_go_on(job, size, kills=20)
    assert job.weights.read_bytes() == whole.weights.read_bytes()
    assert job.curve() == whole.curve()


@pytest.mark.parametrize("size", [1, 2])
def test_a_full_disk_leaves_the_checkpoint_before_and_a_sentence(
    make, start_together, train_together, undisturbed, size
):
    job = make(size)
    processes = start_together(job, size)
    wait_until(lambda: count_saved(job) > 0, processes)
    # The kernel refuses a process's files above this size, as it does when a disk is full.
    resource.prlimit(processes[-1].pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
    assert end(processes) == [1] * size
    log = (job.folder / "log").read_text()
    assert "cannot be written to" in log
    assert "Traceback" not in log
    left = find_checkpoint(job.state / "checkpoints")
    assert f"the checkpoint {left.name} is intact" in log
    assert not list((job.state / "checkpoints").glob(".step-*"))
    train_together(job, size)
    assert job.weights.read_bytes() == undisturbed[size].weights.read_bytes()


def test_a_checkpoint_of_another_architecture_is_refused(make_job, undisturbed):
    """Of the same state: somebody has moved it there."""
    wider = make_job(lambda run, operation: run["encoder"].update(width=32))
    wider.train()
    for size in (1, 2):
        shutil.rmtree(wider.state / "checkpoints")
        shutil.copytree(undisturbed[size].state / "checkpoints", wider.state / "checkpoints")
        with pytest.raises(InputError, match=r"do not fit the model, .* of another shape"):
            wider.train()


@pytest.mark.parametrize(
    ("operation", "shards", "processes", "advice"),
    [
        ({"micro_batch": 14}, 1, 8, "set operation.micro_batch to 7,"),
        ({"micro_batch": 1}, 1, 8, "set operation.activation_checkpointing to true,"),
        ({"micro_batch": 1, "activation_checkpointing": True}, 1, 8, "operation.sharding to full,"),
        ({"micro_batch": 1, "activation_checkpointing": True}, 1, 1, r"\(operation.processes\)"),
        ({"micro_batch": 1, "activation_checkpointing": True}, 8, 8, "more than 8 devices"),
    ],
)
def test_out_of_memory_is_a_sentence_that_says_what_to_lower(
    operation_settings, operation, shards, processes, advice
):
    settings = Operation.from_dict(operation_settings | operation)
    again = settings.activation_checkpointing is True
    layout = Layout(shards=shards, reshard=True, activation_checkpointing=again)
    with (
        pytest.raises(InputError, match=f"out of memory with micro_batch .*{advice}"),
        explain_out_of_memory(settings, layout, processes, passes=True),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)
    with (
        pytest.raises(NotImplementedError, match="another"),  # a RuntimeError as well
        explain_out_of_memory(settings, layout, processes, passes=True),
    ):
        raise NotImplementedError("another")


def test_more_processes_than_gpus_are_refused_with_both_numbers():
    check_devices([0, 1, 2, 3], 4)
    check_devices([0, 1, 2, 3], 0)
    check_devices([0, 1, 0, 1], 2)
    with pytest.raises(InputError, match=r"4 processes .* but 2 GPUs are visible; set it to 2"):
        check_devices([0, 1, 2, 3], 2)
