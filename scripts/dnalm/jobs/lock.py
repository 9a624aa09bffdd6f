"""Lock files: one process at a time writes a state folder, across machines that share it."""

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
from dnalm.files import temporary_path
from dnalm.jobs.exhaustion import disk_full_error, is_disk_full
from dnalm.jobs.processes import is_running, machine, start_of

HEARTBEAT_SECONDS = 15
# Twelve heartbeats: more than a busy file system delays them.
STALE_HEARTBEAT_SECONDS = 180
MAX_CLOCK_SKEW_SECONDS = 86_400  # clocks of two machines never differ by more
# A holder that could not write its heartbeat for so long gives up before others take over.
MAX_UNWRITTEN_SECONDS = 120
# What file systems without hard links (cloud storage, FAT) answer.
NO_HARD_LINK_ERRORS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

logger = logging.getLogger(__name__)


class Lock:
    """A lock file with a heartbeat: it names the process that writes in its folder.

    A holder on this machine is judged by its process, one elsewhere by its heartbeat: where that
    stopped only lately, as after the loss of a node, entering waits until it is stale or heard
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
        """Create our lock file unless there is one; a hard link is atomic on NFS, O_EXCL is not.

        Raises NoSpaceError on a full disk.
        """
        try:
            temporary = self._write()
            try:
                os.link(temporary, self.path)
            except OSError as error:
                if error.errno not in NO_HARD_LINK_ERRORS:
                    raise
                with open(self.path, "x", encoding="utf-8") as file:
                    file.write(temporary.read_text(encoding="utf-8"))
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except FileNotFoundError:  # its last holder has just removed the folder
            return False
        except OSError as error:
            if is_disk_full(error, self.path.parent):
                raise disk_full_error(self.path) from error
            raise
        return True

    def _take_over(self) -> None:
        """Remove the stale lock of a holder that is gone; of several who try, one succeeds."""
        holder = self._read()
        if holder is None:
            return
        if not is_gone(holder) and not self._falls_silent(holder):
            raise InputError(
                f"{self.path.parent} is being written by {_name(holder)}; wait for it to end or "
                "stop it, then run again."
            )
        try:
            aside = temporary_path(self.path)
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
        """Wait for a heartbeat of a holder elsewhere; return False at one, True if it is silent.

        Clocks of two machines differ: the age of the last heartbeat only shortens the wait.
        """
        if _is_here(holder):
            return False
        left = STALE_HEARTBEAT_SECONDS - (time.time() - holder["heartbeat"])
        seconds = min(max(left, 2 * HEARTBEAT_SECONDS), STALE_HEARTBEAT_SECONDS)
        logger.info("Waiting %.0f s for a sign of life of %s.", seconds, _name(holder))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(HEARTBEAT_SECONDS / 5)
            now = self._read()
            if now is None or now["token"] != holder["token"]:
                return True
            if now["heartbeat"] != holder["heartbeat"]:
                return False
        return True

    def _write(self) -> Path:
        """Write our sign of life beside the lock file; nothing is left of one that fails."""
        temporary = temporary_path(self.path)
        text = json.dumps({**self._holder, "heartbeat": time.time()}) + "\n"
        try:
            temporary.write_text(text, encoding="utf-8")
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _read(self) -> dict[str, Any] | None:
        return _parse(self.path)

    def _is_ours(self) -> bool:
        holder = self._read()
        return holder is not None and holder["token"] == self._holder["token"]

    def _beat(self) -> None:
        heard = time.monotonic()
        while not self._ended.wait(HEARTBEAT_SECONDS):
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
                if time.monotonic() - heard > MAX_UNWRITTEN_SECONDS:
                    self._lost = (
                        f"could not be written for {MAX_UNWRITTEN_SECONDS} s ({error}), so that "
                        "others may take it over; nothing more is written, run again when the disk "
                        "is back."
                    )
                    return


def is_gone(holder: dict[str, Any]) -> bool:
    """Return whether the process that a lock file names no longer runs, for all that is known.

    One elsewhere is taken for gone after a day without a heartbeat.
    """
    if _is_here(holder):
        return not is_running(holder["pid"], holder["started"])
    return time.time() - holder["heartbeat"] > MAX_CLOCK_SKEW_SECONDS


def _is_here(holder: dict[str, Any]) -> bool:
    """Return whether a holder's process id is one of this machine and PID namespace."""
    return all(holder.get(key) == value for key, value in machine().items())


def _name(holder: dict[str, Any]) -> str:
    job = f" of Slurm job {holder['slurm_job_id']}" if holder["slurm_job_id"] else ""
    age = max(0, round(time.time() - holder["heartbeat"]))
    return f"process {holder['pid']}{job} on {holder['host']} (last sign of life {age} s ago)"


def _parse(path: Path) -> dict[str, Any] | None:
    """Return the holder that a lock file names; None without one.

    Of a file that a power cut left unreadable only the time of writing is known.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        written = path.stat().st_mtime
    except FileNotFoundError:
        return None
    unknown: dict[str, Any] = {
        "host": "an unknown machine",
        "pid": "of unknown number",
        "started": None,
    }
    unknown |= {"namespace": None, "slurm_job_id": None, "token": None, "heartbeat": written}
    try:
        return {**unknown, **json.loads(text)}
    except (ValueError, TypeError):
        return unknown
