"""Advisory file locks (flock): one download of a file at a time, in whichever process."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# What file systems without locks (Lustre mounted without `flock`) answer.
NO_LOCK_ERRORS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
logger = logging.getLogger(__name__)


@contextmanager
def hold(path: str | Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting while another process does; it is removed at the end.

    A process that is killed loses its lock; the file that it leaves stops nobody.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 -- it is held beyond this loop
        try:
            lock(file, exclusive=True, wait=False)
        except BlockingIOError:
            logger.info("waiting for the process that holds %s", path)
            lock(file, exclusive=True)
        if _is_same(file, path):
            break
        file.close()  # its last holder has removed it
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def lock(file: IO[str], *, exclusive: bool, wait: bool = True) -> None:
    """Lock an open file until it is closed; on a file system without locks only say so.

    Raises:
        BlockingIOError: another process holds it and `wait` is false.
    """
    kind = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, kind)
    except OSError as error:
        if error.errno not in NO_LOCK_ERRORS:
            raise
        logger.warning("%s: its file system has no locks; start one run at a time", file.name)


def _is_same(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
