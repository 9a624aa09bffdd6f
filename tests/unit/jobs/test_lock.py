import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dnalm.errors import InputError, NoSpaceError
from dnalm.jobs import lock as lock_module
from dnalm.jobs.lock import Lock

SCRIPTS = Path(__file__).parents[3] / "scripts"


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "lock.json"


def test_a_lock_names_its_holder_and_goes_with_it(path):
    with Lock(path):
        holder = json.loads(path.read_text())
        assert (holder["host"], holder["pid"]) == (socket.gethostname(), os.getpid())
        assert abs(holder["heartbeat"] - time.time()) < 60
    assert list(path.parent.iterdir()) == []


def test_a_living_holder_is_named_and_refused(path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with Lock(path):
        with pytest.raises(InputError, match=rf"process {os.getpid()} of Slurm job 4711 on .*wait"):
            Lock(path).__enter__()
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list(path.parent.iterdir()) == []


def test_a_file_system_without_links_has_locks_too(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with Lock(path), pytest.raises(InputError, match=f"process {os.getpid()} "):
        Lock(path).__enter__()
    assert list(path.parent.iterdir()) == []


def test_a_lock_that_has_no_room_on_the_disk_is_told_and_leaves_nothing(path, monkeypatch):
    path.parent.mkdir(exist_ok=True)

    def on_a_full_disk(path):
        link = path.with_name("beside")
        link.symlink_to("/dev/full")
        return link

    monkeypatch.setattr(lock_module, "temporary_path", on_a_full_disk)
    with pytest.raises(NoSpaceError, match=r"lock\.json: the disk of .* is full"), Lock(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_what_a_process_killed_as_it_took_a_lock_left_beside_it_is_removed(path):
    code = "import sys, os; from pathlib import Path; from dnalm.files import temporary_path\n"
    code += "temporary_path(Path(sys.argv[1])).touch(); os.kill(os.getpid(), 9)"
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, check=False)
    assert len(list(path.parent.iterdir())) == 1
    with Lock(path):
        assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_folder_that_another_holder_removes_as_it_leaves_is_made_again(path, monkeypatch):
    link, left = os.link, [path.parent.rmdir]

    def remove_first(source, target):
        if left:
            source.unlink()
            left.pop()()
        link(source, target)

    monkeypatch.setattr(os, "link", remove_first)
    with Lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_lock_of_a_killed_process_is_taken_over(path):
    code = (
        "import sys, time; from dnalm.jobs.lock import Lock\n"
        "with Lock(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {holder.pid} "):
            Lock(path).__enter__()
        holder.kill()
    with Lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_number_given_to_another_process_since_is_no_holder(path):
    with Lock(path):
        rewrite(path, started="1", token="other")
        with Lock(path):
            assert json.loads(path.read_text())["started"] != "1"


def hold_elsewhere(path, age):
    path.parent.mkdir(exist_ok=True)
    elsewhere = {
        "host": "elsewhere",
        "pid": os.getpid(),
        "started": "1",
        "namespace": "pid:[1]",
        "slurm_job_id": None,
        "token": "other",
        "heartbeat": time.time() - age,
    }
    new = path.with_name("new")  # in one step, as a holder does
    new.write_text(json.dumps(elsewhere))
    new.replace(path)


@pytest.mark.parametrize(
    ("age", "least"),
    [
        (1e6, 0),  # days ago: at once
        (10_000, 0.2),  # hours by two clocks: two beats are waited for
        (0.5, 0.3),  # lately
        (-1e6, 1),  # by a clock that is ahead
    ],
)
def test_a_holder_elsewhere_that_fell_silent_is_replaced(path, monkeypatch, age, least):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(lock_module, "STALE_HEARTBEAT_SECONDS", 1)
    hold_elsewhere(path, age=age)
    begun = time.monotonic()
    with Lock(path):
        assert least <= time.monotonic() - begun
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_a_living_holder_whose_clock_is_behind_is_refused(path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.5)
    hold_elsewhere(path, age=10_000)
    beat = threading.Timer(0.3, hold_elsewhere, [path, 9_999])
    beat.start()
    with pytest.raises(InputError, match="on elsewhere"):
        Lock(path).__enter__()
    beat.join()


def test_a_holder_elsewhere_is_refused_at_its_next_sign_of_life(path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.1)
    hold_elsewhere(path, age=10)
    beat = threading.Timer(0.5, hold_elsewhere, [path, 0])
    beat.start()
    with pytest.raises(InputError, match=r"on elsewhere \(last sign of life .* s ago\); wait"):
        Lock(path).__enter__()
    beat.join()
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_the_heart_beats_and_notices_a_lost_lock(path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.02)
    with Lock(path) as lock:
        first = json.loads(path.read_text())["heartbeat"]
        deadline = time.monotonic() + 20
        while json.loads(path.read_text())["heartbeat"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        lock.check()
        path.unlink()
        with Lock(path):
            while not lock._lost:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            with pytest.raises(InputError, match="taken over"):
                lock.check()


def test_a_holder_that_cannot_beat_for_long_gives_up_before_it_is_taken_for_gone(path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(lock_module, "MAX_UNWRITTEN_SECONDS", 0.5)
    with Lock(path) as lock:
        with monkeypatch.context() as patched:
            patched.setattr(lock, "_write", full_disk)
            time.sleep(0.1)
        first = json.loads(path.read_text())["heartbeat"]
        deadline = time.monotonic() + 20
        while json.loads(path.read_text())["heartbeat"] == first:  # it outlived that
            assert time.monotonic() < deadline
            time.sleep(0.01)
        monkeypatch.setattr(lock, "_write", full_disk)
        while not lock._lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(InputError, match=r"could not be written for 0\.5 s .*No space left"):
            lock.check()


def full_disk():
    with open("/dev/full", "w", buffering=1) as file:
        file.write("\n")


def test_a_lock_of_a_machine_of_the_same_name_is_judged_by_its_heartbeat(path):
    with Lock(path):
        rewrite(path, boot="another", token="other", started="1", heartbeat=0.0)
        with Lock(path):
            assert json.loads(path.read_text())["boot"] != "another"


@pytest.mark.parametrize("text", ["", "\0\0\0", "{}", "[]"])
def test_an_unreadable_lock_is_judged_by_when_it_was_written(path, text):
    path.parent.mkdir()
    path.write_text(text)
    os.utime(path, (0, 0))
    with Lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_of_many_who_want_a_stale_lock_one_gets_it(path):
    """Real processes start together on a lock whose holder is gone."""
    with Lock(path):
        pass
    path.write_text(
        json.dumps(
            {"host": "elsewhere", "pid": 1, "started": "1", "namespace": None}
            | {"slurm_job_id": None, "token": "gone", "heartbeat": 0.0}
        )
    )
    code = (
        "import sys; from dnalm.errors import InputError; from dnalm.jobs.lock import Lock\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    with Lock(sys.argv[1]): print('got', flush=True); sys.stdin.readline()\n"
        "except InputError: print('refused', flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate("\n")
    assert sorted(answers) == ["got", "refused", "refused", "refused"]
