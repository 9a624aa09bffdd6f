import json

import pytest

from dnalm.jobs.lock import Lock
from dnalm.training.history import History, export_history, is_measured, read_history


@pytest.fixture
def lock(tmp_path):
    return Lock(tmp_path / "lock.json")


def open_history(path, lock, last_step, board=None):
    return History(path, last_step=last_step, held_out="a", lock=lock, board=board)


def test_rows_after_the_checkpoint_and_unfinished_lines_are_cut(tmp_path, lock):
    path = tmp_path / "history.jsonl"
    with open_history(path, lock, None) as history:
        for step in range(1, 6):
            history.append({"step": step, "loss": 1 / step})
    with open(path, "a") as file:
        file.write('{"step": 3, "lo')
    with open_history(path, lock, 3) as history:
        assert [row["step"] for row in read_history(path)] == [1, 2, 3]
        history.append({"step": 4, "loss": 0.5})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[2:] == [{"step": 3, "loss": 1 / 3}, {"step": 4, "loss": 0.5}]


def test_without_a_checkpoint_the_history_starts_empty(tmp_path, lock):
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 0}\n')
    with open_history(path, lock, None):
        assert read_history(path) == []


def test_rows_whose_checkpoints_are_lost_are_kept_aside_the_longest_ones(tmp_path, lock, caplog):
    path, aside = tmp_path / "history.jsonl", tmp_path / "lost.history.jsonl"
    with open_history(path, lock, None):
        pass
    assert not aside.exists()
    for steps in (3, 5, 2):
        with open_history(path, lock, None) as history:
            for step in range(1, steps + 1):
                history.append({"step": step})
    with open_history(path, lock, None):
        assert read_history(path) == []
    assert [row["step"] for row in read_history(aside)] == [1, 2, 3, 4, 5]
    assert "No checkpoint is left of the 5 steps" in caplog.text


def test_rows_on_other_held_out_windows_are_kept_but_not_exported(tmp_path, lock):
    path = tmp_path / "history.jsonl"
    assert not is_measured(path, 2, "a")
    rows = [{"step": 1, "loss": 3.0}, {"step": 2, "held_out": "b"}, {"step": 2, "held_out": "a"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    assert not is_measured(path, 2, "a")
    with open_history(path, lock, 2) as history:
        history.append(rows[2])
    assert read_history(path) == rows
    export_history(path, tmp_path / "exported.jsonl", "a")
    assert read_history(tmp_path / "exported.jsonl") == [rows[0], rows[2]]
    assert is_measured(path, 2, "a")
    assert not is_measured(path, 1, "a")


def test_rows_wait_in_memory_while_the_disk_is_full(tmp_path, lock, caplog):
    path = tmp_path / "history.jsonl"
    with (
        open_history(path, lock, None) as history,
        open("/dev/full", "ab", buffering=0) as full,
    ):
        real, history._file = history._file, full
        history.append({"step": 1})
        assert "No space left on device" in caplog.text
        history.sync()
        history._file = real
        history.append({"step": 2})
    assert read_history(path) == [{"step": 1}, {"step": 2}]


def test_a_history_that_a_power_cut_damaged_is_used_up_to_there(tmp_path, lock, caplog):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"step": 1}\n\0\0\0\n{"step": 3}\n')
    with open_history(path, lock, 3):
        assert read_history(path) == [{"step": 1}]
    assert "line 2 is damaged" in caplog.text


def test_tensorboard_reads_the_same_values(tmp_path, lock):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tmp_path / "tensorboard"
    with open_history(tmp_path / "history.jsonl", lock, None, board) as history:
        for step in (10, 20):
            parts = {"genomes": {"yeast": {"loss": step / 4}}, "mfu": None}
            history.append({"step": step, "loss": step / 8, **parts})
    events = EventAccumulator(str(board))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(10, 1.25), (20, 2.5)]
    parts = events.Scalars("genomes/yeast/loss")
    assert [(e.step, e.value) for e in parts] == [(10, 2.5), (20, 5.0)]
