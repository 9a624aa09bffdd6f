"""Finished parts of a long piece of work, kept on disk so that a killed job does not redo them."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.files import read_json, write_json
from dnalm.lock import Lock

DIGITS = 16
log = logging.getLogger(__name__)
SHARED = "partial"  # name of a folder that holds those of several pieces of work


class Partial:
    """Named JSON values in a folder of their own, below one that the caller gives.

    The folder is named by a hash of `facts`, everything that decides the values, so other facts
    never find them. Without a folder nothing is kept.
    """

    def __init__(self, folder: str | Path | None, facts: Mapping[str, Any]) -> None:
        text = json.dumps(facts, sort_keys=True)
        name = sha256(text.encode()).hexdigest()[:DIGITS]
        self.folder = None if folder is None else Path(folder) / name

    def read(self) -> dict[str, Any]:
        """Return {name: value} of all that is kept and can be read."""
        found = {}
        for path in [] if self.folder is None else self.folder.glob("[!.]*.json"):
            try:
                found[path.stem] = read_json(path)
            except (OSError, ValueError) as error:  # cut off as the machine went down
                log.warning("%s cannot be read (%s): it is made again", path, error)
        return found

    def write(self, name: str, value: Any) -> None:
        """Keep a value, complete or not at all."""
        if self.folder is not None:
            write_json(self.folder / f"{name}.json", value)


@contextmanager
def hold(folder: str | Path, name: str = "lock.json") -> Iterator[Lock]:
    """Hold the lock `name` in a folder of finished parts; remove the folder where it ends empty.

    Raises InputError that names another job which holds it.
    """
    folder = Path(folder)
    try:
        with Lock(folder / name) as lock:
            yield lock
    finally:
        remove_empty(folder)


def discard(folder: str | Path) -> None:
    """Remove a folder of finished parts that nobody needs any more."""
    shutil.rmtree(folder, ignore_errors=True)
    remove_empty(Path(folder))


def remove_empty(folder: Path) -> None:
    """Remove a folder of finished parts, and the one that several share, if nothing is in them."""
    with suppress(OSError):
        folder.rmdir()
    if folder.parent.name == SHARED:
        with suppress(OSError):
            folder.parent.rmdir()


def hash_array(array: np.ndarray) -> str:
    """Return the sha256 of an array's type, shape and numbers, hexadecimal."""
    digest = sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).ravel())
    return digest.hexdigest()
