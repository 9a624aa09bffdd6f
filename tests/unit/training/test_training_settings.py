import copy
import json

import pytest

from dnalm.errors import InputError
from dnalm.training.settings import Operation, Run, state_hash, write_settings


@pytest.fixture
def settings(make_job):
    folder = make_job().folder
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("run", "operation")]


def test_steps_follow_from_tokens_rounded_up(settings):
    run, _ = settings
    run["pretrain"] |= {"steps": None, "tokens": 50_000_000_000, "batch_sequences": 1000}
    assert Run.from_dict(run).pretrain.count_steps(1000) == 50_000
    run["pretrain"] |= {"tokens": 300_000_000_000, "batch_sequences": 512}
    assert Run.from_dict(run).pretrain.count_steps(2048) == 286_103  # 286,102.3 steps


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda run: run.pop("k"), r"missing run\.k;"),
        (lambda run: run["pretrain"].update(epochs=3), r"unknown pretrain\.epochs;"),
        (lambda run: run["pretrain"]["masking"].pop("random"), r"pretrain\.masking\.random"),
        (lambda run: run["pretrain"].update(precision="fp16"), r"precision is 'fp16'"),
        (lambda run: run["pretrain"].update(batch_sequences=0), "batch_sequences is 0"),
    ],
)
def test_wrong_run_settings_are_named(settings, change, named):
    run, _ = settings
    change(run)
    with pytest.raises(InputError, match=named):
        Run.from_dict(run)


@pytest.mark.parametrize(
    ("key", "value"), [("micro_batch", 0), ("keep_last", 0), ("processes", 0), ("log_every", -1)]
)
def test_impossible_operations_are_named(settings, key, value):
    _, operation = settings
    with pytest.raises(InputError, match=rf"operation\.{key} is {value}"):
        Operation.from_dict(operation | {key: value})


def test_the_hash_changes_with_what_decides_and_not_with_the_order_of_keys(settings, tmp_path):
    run, _ = settings
    manifest = {"tokens": 33, "genomes": [{"name": "a"}]}
    first = state_hash(run, manifest)
    assert len(first) == 16
    assert state_hash(dict(reversed(run.items())), dict(reversed(manifest.items()))) == first
    other = copy.deepcopy(run)
    other["pretrain"]["masking"]["random"] = 0.0
    assert state_hash(other, manifest) != first
    assert state_hash(run, manifest | {"tokens": 34}) != first
    start, moved = tmp_path / "a", tmp_path / "b"
    start.write_bytes(b"weights")
    moved.write_bytes(b"weights")
    with_start = state_hash(run | {"initial_weights": str(start)}, manifest)
    assert with_start != first
    assert state_hash(run | {"initial_weights": str(moved)}, manifest) == with_start
    moved.write_bytes(b"others")
    assert state_hash(run | {"initial_weights": str(moved)}, manifest) != with_start


def test_equal_settings_leave_the_file_as_it_is(tmp_path):
    path = tmp_path / "run.json"
    write_settings(path, {"b": 1, "a": [2]})
    assert json.loads(path.read_text()) == {"a": [2], "b": 1}
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_settings(path, {"a": [2], "b": 1})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    write_settings(path, {"a": [3], "b": 1})
    assert json.loads(path.read_text())["a"] == [3]
