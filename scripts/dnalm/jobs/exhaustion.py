"""Exhausted disks and memory: which errors mean that, whatever library raised them, in a sentence.

Libraries written in C++ and Rust lose the error number on the way; their words are known here.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from dnalm.errors import InputError, NoSpaceError

DISK_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# numpy counts what it could not write; Rust, Arrow and others quote the system.
DISK_FULL_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|[(\[]?os error (?:28|122)\b|errno (?:28|122)\b"
    r"|\d+ requested and \d+ written"
)
# Some say nothing (torch: "file write failed"; bcftools: "failed to create index"): then the disk
# itself is asked.
FULL_BYTES = 4096
UNCLEAR_ERRORS = (OSError, RuntimeError)
UNCLEAR_TYPES = ("SamtoolsError",)
OUT_OF_MEMORY_WORDS = re.compile(
    r"out of memory|not enough memory|can't allocate memory|Cannot allocate memory|bad_alloc", re.I
)
OUT_OF_MEMORY_TYPES = ("OutOfMemoryError", "BrokenProcessPool")


def is_disk_full(error: BaseException, folder: str | Path) -> bool:
    """Return whether an error of a writer into `folder` means that its file system is full."""
    if isinstance(error, InputError) or not isinstance(error, Exception):
        return False
    if any(_says_disk_full(one) for one in _chain(error)):
        return True
    is_unclear = isinstance(error, UNCLEAR_ERRORS) or type(error).__name__ in UNCLEAR_TYPES
    return is_unclear and _has_no_room(Path(folder))


def disk_full_error(path: str | Path) -> NoSpaceError:
    """Return the error of a file that was not written because the disk is full."""
    path = Path(path)
    return NoSpaceError(
        f"{path}: the disk of {path.parent} is full, or your quota is used up; nothing of the file"
        " is left and what was there before is kept; make room and start again."
    )


def describe_exhaustion(error: BaseException) -> str | None:
    """Return the sentence for an error of a full disk or memory, None for any other error."""
    if any(_says_disk_full(one) for one in _chain(error)):
        names = (getattr(one, "filename", None) for one in _chain(error))
        named = next(filter(None, names), None)
        return (
            f"{named or 'a file of this job'} could not be written: the disk is full, or your quota"
            " is used up; make room and start again."
        )
    if any(_says_out_of_memory(one) for one in _chain(error)):
        return (
            f"memory ran out ({_first_line(error)}); give the job more memory, or ask for less at a"
            " time, and start again: what was finished before is kept."
        )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _says_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in DISK_FULL_NUMBERS
    # A reader's error may quote a file that holds such words: only errors of writers are looked at.
    is_writer = isinstance(error, OSError | RuntimeError) or "safetensors" in type(error).__module__
    is_writer = is_writer or type(error).__name__ == "SafetensorError"
    return is_writer and bool(DISK_FULL_WORDS.search(str(error)))


def _says_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ in OUT_OF_MEMORY_TYPES:
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY_WORDS.search(str(error)))


def _has_no_room(folder: Path) -> bool:
    try:
        room = shutil.disk_usage(folder)
    except OSError:
        return False
    return room.total > 0 and room.free < FULL_BYTES


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return text[:200].rstrip(".") or type(error).__name__
