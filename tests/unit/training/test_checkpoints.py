import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnalm.training.checkpoints import find_checkpoint, read_progress
from dnalm.training.history import read_history


def stop_after(steps):
    """Return an interruption that asks to stop when so many steps have begun."""

    class Stop:
        requests = 0

        @property
        def reason(self):
            self.requests += 1
            return "the test" if self.requests == steps else None

        def note_checkpoint(self, seconds):
            pass

        def note_evaluation(self, seconds):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    return Stop


@pytest.fixture(scope="module")
def whole(make_job):
    """A finished job of 12 steps, not to be changed."""
    job = make_job()
    job.train()
    return job


@pytest.fixture
def interrupted(make_job, monkeypatch, whole):
    """A job stopped after step 8 of 12, with checkpoints of steps 5 and 8, and a finished twin."""
    job = make_job()
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(8)())
        assert job.train() == "the test"
    assert not job.weights.exists()
    return job, whole


def steps_of(job):
    return sorted(path.name for path in (job.state / "checkpoints").iterdir())


def same_weights(first, second):
    a, b = load_file(first.weights), load_file(second.weights)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_stopped_run_continues_to_the_same_weights_and_history(interrupted):
    job, whole = interrupted
    assert steps_of(job) == ["step-00000005", "step-00000008"]
    assert job.train() is None
    assert same_weights(job, whole)
    assert job.curve() == whole.curve()


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_rate_that_falls_to_the_last_step_goes_on_where_it_was(make_job, monkeypatch, decay):
    def change(run, operation):
        run["pretrain"]["schedule"]["decay"] = decay

    job, whole = make_job(change), make_job(change)
    whole.train()
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(8)())
        assert job.train() == "the test"
    assert job.train() is None
    assert same_weights(job, whole)
    assert job.curve() == whole.curve()
    rates = [[row["lr"] for row in each.history() if "lr" in row] for each in (job, whole)]
    assert rates[0] == rates[1]
    assert (len(rates[0]), rates[0][4], rates[0][-1]) == (12, 1e-3, 0.0)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_half_written_newest_checkpoint_is_passed_over(interrupted, file, damage):
    job, whole = interrupted
    path = job.state / "checkpoints" / "step-00000008" / file
    if damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.unlink()
    assert find_checkpoint(job.state / "checkpoints").name == "step-00000005"
    assert job.train() is None
    assert same_weights(job, whole)
    assert job.curve() == whole.curve()


def test_new_checkpoints_outlive_damaged_ones_of_later_steps(interrupted, monkeypatch):
    """Both that are kept are damaged; a stop before their steps must not lose what was gained."""
    job, whole = interrupted
    for path in (job.state / "checkpoints").iterdir():
        (path / "model.safetensors").write_bytes(b"damaged")
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(4)())
        assert job.train() == "the test"
    left = ["damaged.step-00000005", "damaged.step-00000008", "step-00000004"]
    assert steps_of(job) == left
    assert job.train() is None
    assert same_weights(job, whole)


def test_a_validation_that_a_kill_prevented_is_made_at_the_next_start(make_job, whole, monkeypatch):
    job = make_job(lambda run, operation: operation.update(checkpoint_every=6))
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(6)())
        assert job.train() == "the test"
    steps = [row["step"] for row in read_history(job.state / "history.jsonl") if "lr" not in row]
    assert steps == [0]  # whoever asked for an end does not wait for a validation
    assert job.train() is None
    assert job.curve() == whole.curve()


def test_a_checkpoint_is_made_when_the_last_one_is_too_old(make_job):
    def change(run, operation):
        operation |= {"checkpoint_every": 100, "checkpoint_minutes": 1e-9, "keep_last": 100}

    job = make_job(change)
    job.train()
    assert steps_of(job) == [f"step-{step:08d}" for step in range(1, 13)]


def test_a_folder_without_its_final_name_is_no_checkpoint_and_is_removed(interrupted):
    job, whole = interrupted
    checkpoints = job.state / "checkpoints"
    (checkpoints / "step-00000008").rename(checkpoints / ".step-00000008.4711")
    for name in (".step-notes.4711", "my.step-00000008.4711"):
        (checkpoints / name).mkdir()
    assert find_checkpoint(checkpoints).name == "step-00000005"
    assert job.train() is None
    kept = [".step-notes.4711", "my.step-00000008.4711", "step-00000010", "step-00000012"]
    assert steps_of(job) == kept
    assert same_weights(job, whole)


def test_without_a_complete_checkpoint_training_starts_anew(interrupted):
    job, whole = interrupted
    shutil.rmtree(job.state / "checkpoints")
    assert find_checkpoint(job.state / "checkpoints") is None
    assert job.train() is None
    assert same_weights(job, whole)
    assert job.curve() == whole.curve()


def test_only_the_newest_checkpoints_are_kept(make_job):
    job = make_job(lambda run, operation: operation.update(checkpoint_every=1, keep_last=3))
    job.train()
    assert steps_of(job) == ["step-00000010", "step-00000011", "step-00000012"]
    assert read_progress(job.state / "checkpoints" / "step-00000012")["step"] == 12


def test_sums_not_yet_reported_survive_a_stop(make_job, monkeypatch):
    """Steps 7 to 9 make one history row; the run stops between them."""
    whole, job = (
        make_job(lambda run, operation: operation.update(log_every=3, checkpoint_every=100))
        for _ in range(2)
    )
    whole.train()
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(8)())
        job.train()
    job.train()
    assert job.curve() == whole.curve()


def test_a_finished_run_exports_without_a_step(make_job, monkeypatch):
    job = make_job()
    job.train()
    weights, history = job.weights.read_bytes(), job.history()
    job.weights.unlink()
    monkeypatch.delattr("dnalm.training.launch.Trainer")
    assert job.train() is None
    assert job.weights.read_bytes() == weights
    assert job.history() == history


def test_other_evaluation_windows_are_measured_without_a_step(make_job, whole, corpus, tmp_path):
    """A corpus with fewer windows to evaluate and another accession goes on from the same state."""
    shutil.copytree(corpus.folder, tmp_path / "corpus")
    fewer = type(corpus)(tmp_path / "corpus")
    manifest = fewer.manifest
    manifest["genomes"][0]["accession"] = "GCF_000000000.1"
    for split in ("validation", "test"):
        windows = np.load(corpus.folder / f"{split}.npy")[::2]
        np.save(fewer.folder / f"{split}.npy", windows)
        manifest["splits"][split]["evaluated"] = len(windows)
    (fewer.folder / "manifest.json").write_text(json.dumps(manifest))
    job = make_job(corpus=fewer)
    shutil.copytree(whole.state, job.folder / "models" / "state" / whole.state.name)
    before = steps_of(job)
    assert job.train() is None
    assert steps_of(job) == before
    assert same_weights(job, whole)
    rows = [[row for row in j.history() if "lr" in row] for j in (job, whole)]
    assert rows[0] == rows[1]
    (measured,) = [row for row in job.history() if "validation_loss" in row]
    anew = make_job(corpus=fewer)
    anew.train()
    assert measured == anew.history()[-1]
    assert measured["test_loss"] != whole.history()[-1]["test_loss"]


def test_other_settings_start_a_new_state_and_touch_no_old_one(make_job):
    job = make_job()
    job.train()
    before = {path: path.stat().st_mtime_ns for path in job.state.rglob("*") if path.is_file()}
    text = (job.folder / "run.json").read_text()
    (job.folder / "run.json").write_text(text.replace('"seed": 7', '"seed": 8'))
    job.train()
    assert len(list((job.folder / "models" / "state").iterdir())) == 2
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_dropout_is_drawn_alike_after_a_stop(make_job, monkeypatch):
    def change(run, operation):
        run["encoder"]["dropout"] = 0.1

    whole, job = make_job(change), make_job(change)
    whole.train()
    with monkeypatch.context() as patched:
        patched.setattr("dnalm.training.launch.Interruption", lambda *_, **__: stop_after(8)())
        job.train()
    torch.manual_seed(99)
    job.train()
    assert same_weights(job, whole)
