"""Progress: a line a minute with what is left, a bar only where there is a terminal."""

import logging
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from dnalm.jobs.job import job
from dnalm.jobs.progress import LINE_SECONDS, Progress, Tally, duration, progress


class Clock:
    """A clock that only the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Terminal:
    """What stderr is in front of a person; it keeps what is drawn."""

    def __init__(self):
        self.drawn = ""

    def isatty(self):
        return True

    def write(self, text):
        self.drawn += text

    def flush(self):
        pass


def test_a_line_stands_at_the_start_and_at_the_end_however_short_the_work(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress("embed", "rows", 1200, clock=clock) as done:
        done.advance(1200)
        clock.now += 30
    assert caplog.messages == ["embed: 1,200 rows", "embed: 1,200 rows in 30 s"]


def test_there_is_a_line_a_minute_at_most_and_it_says_what_is_left(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress("embed", "rows", 10_000, clock=clock) as done:
        caplog.clear()
        for _ in range(300):  # ten rows a second, told every second, for five minutes
            clock.now += 1
            done.advance(10)
    assert len(caplog.messages) == 5 + 1
    assert caplog.messages[0] == "embed: 600 of 10,000 rows (6%), 10 rows/s, 15.7 min left"
    assert caplog.messages[4] == "embed: 3,000 of 10,000 rows (30%), 10 rows/s, 11.7 min left"


def test_what_was_done_before_counts_as_done_but_not_as_speed(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress("x.fa.gz", "B", 10_000_000_000, done=4_000_000_000, clock=clock) as done:
        clock.now += 100
        done.advance(1_000_000_000)
    assert caplog.messages[:2] == [
        "x.fa.gz: 10,000 MB, 4,000 MB of them done before",
        "x.fa.gz: 5,000 of 10,000 MB (50%), 10 MB/s, 8.3 min left",
    ]


def test_without_a_total_there_is_no_share_and_nothing_is_left(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress("encode hg38", "bases", clock=clock) as done:
        clock.now += LINE_SECONDS
        done.note("chr7")
        done.advance(90)
    assert caplog.messages == [
        "encode hg38 begins",
        "encode hg38: 90 bases, 1.5 bases/s, chr7",
        "encode hg38: 90 bases in 60 s, chr7",
    ]


def test_work_that_breaks_off_has_no_last_line(clock, caplog):
    caplog.set_level(logging.INFO)
    with suppress(KeyError), Progress("audit", "rows", 3, clock=clock) as done:
        done.advance()
        raise KeyError
    assert caplog.messages == ["audit: 3 rows"]


def test_processes_but_the_first_say_nothing(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress("pretrain", "steps", 9, visible=False, clock=clock) as done:
        clock.now += 3600
        done.advance()
    assert caplog.messages == []
    assert done.done == 1


def test_items_are_passed_on_and_counted_by_their_size(caplog):
    caplog.set_level(logging.INFO)
    parts = [[1, 2], [], [3, 4, 5]]
    assert list(progress(parts, "compare", "rows", 5, size=len)) == parts
    assert caplog.messages[0] == "compare: 5 rows"
    assert caplog.messages[-1].startswith("compare: 5 rows in ")
    assert list(progress("abc", "read", "files")) == ["a", "b", "c"]
    assert "read: 3 files" in caplog.messages


def test_a_bar_is_drawn_only_on_a_terminal(monkeypatch, capsys):
    with Progress("embed", "rows", 2) as done:
        done.advance(2)
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("embed", "rows", 2) as done:
        done.advance(2)
    assert "embed: 100%" in terminal.drawn
    assert "2.00/2.00" in terminal.drawn


def wait_until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_work_in_which_nothing_ends_for_long_is_not_silent(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("dnalm.jobs.progress.LINE_SECONDS", 0.05)
    with Progress("fit", "fits", 30):
        wait_until(lambda: "fit: 0 of 30 fits after " in caplog.text)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_job_without_any_progress_says_that_it_is_at_work(monkeypatch, tmp_path):
    monkeypatch.setattr("dnalm.jobs.progress.LINE_SECONDS", 0.05)
    monkeypatch.setattr("dnalm.jobs.progress.GRACE_SECONDS", 0)
    path = tmp_path / "log"
    with job(path):
        wait_until(lambda: "At work for " in path.read_text())
    quiet = path.read_text()
    time.sleep(0.2)
    assert path.read_text() == quiet


def test_a_job_that_speaks_is_not_interrupted(monkeypatch, tmp_path):
    monkeypatch.setattr("dnalm.jobs.progress.LINE_SECONDS", 5)
    path = tmp_path / "log"
    with job(path):
        for number in range(5):
            time.sleep(0.01)
            logging.info("%d", number)
    assert path.read_text().count("\n") == 5


COUNT = """
import sys
from dnalm.jobs.progress import Tally
for _ in range(1000):
    Tally(sys.argv[1]).add(3)
"""


def test_other_processes_count_along_and_leave_nothing(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    library = next(path for path in sys.path if path.endswith("scripts"))
    with Progress("embed", "rows", 6000) as done, done.tally() as tally:
        assert pickle.loads(pickle.dumps(tally)) == tally
        command = [sys.executable, "-c", COUNT, tally.path]
        workers = [subprocess.Popen(command, env={"PYTHONPATH": library}) for _ in range(2)]
        assert [worker.wait() for worker in workers] == [0, 0]
        assert done.done == 6000
        assert not list(tmp_path.iterdir())  # a killed job leaves nothing either
    assert caplog.messages[-1].startswith("embed: 6,000 rows in ")
    tally.add(7)  # of a process that outlives the job: no error, no file
    assert not list(tmp_path.iterdir())
    assert Tally(tally.path).count() == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1234, "0.123 s"), (59.6, "60 s"), (150, "2.5 min"), (3600, "60.0 min"), (9000, "2.5 h")],
)
def test_times_are_told_in_the_unit_of_their_size(seconds, words):
    assert duration(seconds) == words
