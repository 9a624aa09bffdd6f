"""The right of one process to write a state folder."""

import errno
import json
import logging
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self

from dnalm.errors import InputError
from dnalm.files import make_folder
from dnalm.processes import is_running, machine, start_of

BEAT_SECONDS = 15
STALE_SECONDS = 180  # twelve beats: more than a busy file system delays them
LONG_SECONDS = 86_400  # so far apart no two clocks are
MUTE_SECONDS = 120  # a holder that could not beat for so long gives up before others take over
# File systems without links (of cloud storage, FAT) answer so.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

logger = logging.getLogger(__name__)


class Lock:
    """A file that names the process which writes beside it, and when it was last alive.

    A holder on this machine is judged by its process, one elsewhere by its heartbeat: where that
    stopped only lately, as after the loss of a node, entering waits until it is old enough or heard
    again. Use it as a context; entering raises `InputError` that names a living holder, and takes
    over from one that is gone. Call `check` before every write: it raises once somebody else took
    this lock over, which happens to a process that was suspended for minutes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lost: str | None = None
        self._holder = {
            **machine(),
            "pid": os.getpid(),
            "started": start_of(os.getpid()),
            "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
            "token": uuid.uuid4().hex,
        }
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lock", daemon=True)

    def __enter__(self) -> Self:
        while not self._claim():
            self._take_over()
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._heart.join()
        if self._is_ours():
            self.path.unlink()

    def check(self) -> None:
        """Raise `InputError` when this lock is no longer ours."""
        if self._lost:
            raise InputError(f"{self.path.parent} {self._lost}")

    def _claim(self) -> bool:
        """Put our lock file in place unless there is one; a link is atomic where O_EXCL is not."""
        make_folder(self.path.parent)
        try:
            temporary = self._write()
            try:
                os.link(temporary, self.path)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                with open(self.path, "x") as file:
                    file.write(temporary.read_text())
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except FileNotFoundError:  # its last holder has just removed the folder
            return False
        return True

    def _take_over(self) -> None:
        """Remove the lock of a holder that is gone; of several who try, one succeeds."""
        holder = self._read()
        if holder is None:
            return
        if not is_gone(holder) and not self._falls_silent(holder):
            raise InputError(
                f"{self.path.parent} is being written by {_name(holder)}; wait for it to end or "
                "stop it, then run again."
            )
        aside = self.path.with_name(f".{self.path.name}.{self._holder['token']}.stale")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        taken = _parse(aside)
        if taken is not None and taken["token"] != holder["token"]:
            # Between reading and renaming somebody else took over: give it back.
            os.rename(aside, self.path)
            return
        aside.unlink(missing_ok=True)
        logger.info("Took over the lock of %s, which is gone.", _name(holder))

    def _falls_silent(self, holder: dict[str, Any]) -> bool:
        """Watch a holder elsewhere; return whether it is gone or left, False at a sign of life.

        Clocks of two machines differ: what is said of an age only shortens the watch.
        """
        if _is_here(holder):
            return False
        left = STALE_SECONDS - (time.time() - holder["heartbeat"])
        seconds = min(max(left, 2 * BEAT_SECONDS), STALE_SECONDS)
        logger.info("Waiting %.0f s for a sign of life of %s.", seconds, _name(holder))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(BEAT_SECONDS / 5)
            now = self._read()
            if now is None or now["token"] != holder["token"]:
                return True
            if now["heartbeat"] != holder["heartbeat"]:
                return False
        return True

    def _write(self) -> Path:
        temporary = self.path.with_name(f".{self.path.name}.{self._holder['token']}")
        temporary.write_text(json.dumps({**self._holder, "heartbeat": time.time()}) + "\n")
        return temporary

    def _read(self) -> dict[str, Any] | None:
        return _parse(self.path)

    def _is_ours(self) -> bool:
        holder = self._read()
        return holder is not None and holder["token"] == self._holder["token"]

    def _beat(self) -> None:
        heard = time.monotonic()
        while not self._ended.wait(BEAT_SECONDS):
            try:
                if not self._is_ours():
                    self._lost = (
                        "was taken over by another process while this one was suspended; nothing "
                        "more is written, look at that process's log."
                    )
                    return
                os.replace(self._write(), self.path)
                heard = time.monotonic()
            except OSError as error:  # a full or absent disk may be back at the next beat
                if time.monotonic() - heard > MUTE_SECONDS:
                    self._lost = (
                        f"could not be written for {MUTE_SECONDS} s ({error}), so that others may "
                        "take it over; nothing more is written, run again when the disk is back."
                    )
                    return


def is_gone(holder: dict[str, Any]) -> bool:
    """Return whether the process that a lock file names no longer runs, for all that is known.

    Of one elsewhere that is so when it was not heard for a day.
    """
    if _is_here(holder):
        return not is_running(holder["pid"], holder["started"])
    return time.time() - holder["heartbeat"] > LONG_SECONDS


def _is_here(holder: dict[str, Any]) -> bool:
    """Return whether a holder's process number is one of this machine, container and all."""
    return all(holder.get(key) == value for key, value in machine().items())


def _name(holder: dict[str, Any]) -> str:
    job = f" of Slurm job {holder['slurm_job_id']}" if holder["slurm_job_id"] else ""
    age = max(0, round(time.time() - holder["heartbeat"]))
    return f"process {holder['pid']}{job} on {holder['host']} (last sign of life {age} s ago)"


def _parse(path: Path) -> dict[str, Any] | None:
    """Return the holder that a lock file names; None without one.

    Of a file that a power cut left unreadable nobody is known, only when it was written.
    """
    try:
        text = path.read_text(errors="replace")
        written = path.stat().st_mtime
    except FileNotFoundError:
        return None
    unknown = {"host": "an unknown machine", "pid": "of unknown number", "started": None}
    unknown |= {"namespace": None, "slurm_job_id": None, "token": None, "heartbeat": written}
    try:
        return {**unknown, **json.loads(text)}
    except (ValueError, TypeError):
        return unknown
