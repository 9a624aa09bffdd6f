"""Finished parts of a killed job: found by the facts that decide them, complete or not at all."""

import hashlib
import json

import numpy as np
import pytest

from dnalm.benchmark.embedding.shards import ARRAY
from dnalm.errors import InputError
from dnalm.files import hash_facts, hash_text
from dnalm.jobs.partial import JSON, Format, Partial, clear, discard, hold

FACTS = {"weights": "abc", "config": {"layers": [3, 1], "learning rate": 0.1}}


def test_facts_are_hashed_as_json_with_its_keys_in_order():
    text = '{"config": {"layers": [3, 1], "learning rate": 0.1}, "weights": "abc"}'
    assert hash_facts(FACTS, 16) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert hash_facts(FACTS, 64) == hashlib.sha256(text.encode()).hexdigest()
    without_blanks = '{"config":{"layers":[3,1],"learning rate":0.1},"weights":"abc"}'
    assert hash_facts(FACTS, 16, compact=True) == hash_text(without_blanks, 16)
    assert hash_text("ü", 6) == hashlib.sha256("ü".encode()).hexdigest()[:6]


def test_values_are_kept_in_a_folder_named_by_the_facts(tmp_path):
    Partial(tmp_path, FACTS).write("layer.1", {"score": 0.5})
    name = hashlib.sha256(json.dumps(FACTS, sort_keys=True).encode()).hexdigest()[:16]
    assert json.loads((tmp_path / name / "layer.1.json").read_text()) == {"score": 0.5}
    again = Partial(tmp_path, dict(reversed(FACTS.items())))
    assert again.read() == {"layer.1": {"score": 0.5}}
    assert Partial(tmp_path, FACTS | {"weights": "abd"}).read() == {}


def test_a_value_that_fails_to_be_written_leaves_nothing(tmp_path):
    def write_half(path, value):
        path.write_text(value)
        raise OSError("no space left on device")

    kept = Partial(tmp_path, FACTS, Format(suffix=".txt", write=write_half, read=open, torn=()))
    with pytest.raises(OSError, match="no space"):
        kept.write("a", "half")
    assert list(kept.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "value", "torn"),
    [
        (JSON, {"score": 0.5}, b'{"score": 0.'),
        (ARRAY, np.arange(600.0).reshape(2, 3, 100), b""),
        (ARRAY, np.arange(600.0).reshape(2, 3, 100), b"\x93NUMPY\x01\x00"),
    ],
    ids=["json", "empty array", "cut array"],
)
def test_a_value_that_was_torn_is_missing_and_is_told(tmp_path, caplog, form, value, torn):
    kept = Partial(tmp_path, FACTS, form)
    kept.write("a", value)
    kept.write("b", value)
    assert np.array_equal(kept.find("a"), value)
    kept.path("a").unlink()
    kept.path("a").write_bytes(torn)
    assert kept.find("a") is None
    assert f"{kept.path('a')} cannot be read" in caplog.text
    assert list(kept.read()) == ["b"]
    caplog.clear()
    assert kept.find("c") is None  # never made: nothing to tell
    assert not caplog.text


def test_what_a_killed_writer_left_half_written_is_not_read(tmp_path):
    kept = Partial(tmp_path, FACTS)
    kept.write("a", 1)
    (kept.folder / ".b.12345678-1-1-12345678.json").write_text("{}")
    assert kept.read() == {"a": 1}


def test_without_a_folder_nothing_is_kept():
    kept = Partial(None, FACTS)
    kept.write("a", 1)
    assert kept.read() == {}
    assert kept.find("a") is None


def test_a_second_job_is_refused_and_nothing_is_left_in_the_end(tmp_path):
    folder = tmp_path / "partial" / "task"
    with hold(folder):
        Partial(folder, FACTS).write("a", 1)
        Partial(folder, FACTS | {"weights": ""}).write("a", 1)
        with pytest.raises(InputError, match="is being written by process"), hold(folder):
            pass
        clear(folder)
        assert [path.name for path in folder.iterdir()] == ["lock.json"]
    assert not (tmp_path / "partial").exists()


def test_what_other_tasks_keep_beside_it_is_not_discarded(tmp_path):
    folder, other = tmp_path / "partial" / "task", tmp_path / "partial" / "other"
    Partial(folder, FACTS).write("a", 1)
    Partial(other, FACTS).write("a", 1)
    discard(folder)
    assert not folder.exists()
    assert Partial(other, FACTS).read() == {"a": 1}
    discard(other)
    assert not (tmp_path / "partial").exists()
