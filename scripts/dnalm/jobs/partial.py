"""Finished parts of a long piece of work, kept on disk so that a killed job does not redo them."""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.files import atomic_path, hash_facts, json_text, read_json
from dnalm.jobs.lock import Lock

DIGITS = 16
log = logging.getLogger(__name__)
SHARED = "partial"  # name of a folder that holds those of several pieces of work


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a part becomes a file: its suffix, what writes a value to a path and reads it again.

    `torn` are the errors of a reader whose file was cut off as the machine went down.
    """

    suffix: str
    write: Callable[[Path, Any], object]
    read: Callable[[Path], Any]
    torn: tuple[type[Exception], ...]


def _write_text(path: Path, value: Any) -> None:
    path.write_text(json_text(value), encoding="utf-8")


JSON = Format(suffix=".json", write=_write_text, read=read_json, torn=(OSError, ValueError))


class Partial:
    """Named values, the finished parts, in a folder of their own below one that the caller gives.

    The folder is named by a hash of `facts`, everything that decides the values, so other facts
    never find them. Without a folder nothing is kept. May be sent to other processes.
    """

    def __init__(
        self, folder: str | Path | None, facts: Mapping[str, Any], form: Format = JSON
    ) -> None:
        self.folder = None if folder is None else Path(folder) / hash_facts(facts, DIGITS)
        self.form = form

    def read(self) -> dict[str, Any]:
        """Return {name: value} of all that is kept and can be read."""
        paths = [] if self.folder is None else self.folder.glob(f"[!.]*{self.form.suffix}")
        names = [path.name.removesuffix(self.form.suffix) for path in paths]
        found = {name: self.find(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def find(self, name: str) -> Any | None:
        """Return one value; None where there is none that can be read."""
        if self.folder is None or not self.path(name).exists():
            return None
        try:
            return self.load(name)
        except self.form.torn as error:
            log.warning("%s cannot be read (%s): it is made again", self.path(name), error)
            return None

    def load(self, name: str) -> Any:
        """Return one value that is known to be there."""
        return self.form.read(self.path(name))

    def write(self, name: str, value: Any) -> None:
        """Keep a value, complete or not at all."""
        if self.folder is not None:
            with atomic_path(self.path(name)) as temporary:
                self.form.write(temporary, value)

    def path(self, name: str) -> Path:
        """Return the file of a value; there has to be a folder."""
        if self.folder is None:
            raise ValueError(f"{name} is kept nowhere: there is no folder")
        return self.folder / f"{name}{self.form.suffix}"


@contextmanager
def hold(folder: str | Path) -> Iterator[Lock]:
    """Hold the lock of a folder of finished parts; remove the folder where it ends empty.

    Raises InputError that names another job which holds it.
    """
    folder = Path(folder)
    try:
        with Lock(folder / "lock.json") as lock:
            yield lock
    finally:
        remove_empty(folder)


def clear(folder: str | Path) -> None:
    """Remove the finished parts in a folder, whatever their facts; its locks stay."""
    for one in Path(folder).iterdir():
        if one.is_dir():
            shutil.rmtree(one)


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
    digest.update(np.ascontiguousarray(array).ravel().data)
    return digest.hexdigest()
