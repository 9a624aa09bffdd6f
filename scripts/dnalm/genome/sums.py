"""Checksums of downloads: those the user gave, and those recorded when a file first came."""

import fcntl
import hashlib
from dataclasses import dataclass
from pathlib import Path

from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES

COLUMNS = ("address", "sha256", "md5", "bytes")


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Checksums and size of one file, hexadecimal and bytes."""

    sha256: str
    md5: str
    size: int


def sums_of(path: str | Path) -> Sums:
    """Return the checksums of a file, read once."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return Sums(sha256=sha256.hexdigest(), md5=md5.hexdigest(), size=size)


def check_sums(what: str, found: Sums, sha256: str | None, md5: str | None, remedy: str) -> None:
    """Raise InputError, naming `what` and the `remedy`, when a file is not the expected one."""
    for algorithm, expected in (("sha256", sha256), ("md5", md5)):
        value = getattr(found, algorithm)
        if expected and expected.lower() != value:
            raise InputError(f"{what}: its {algorithm} is {value}, expected {expected}; {remedy}.")


def recorded_sha256(lock_path: str | Path, address: str) -> str | None:
    """Return the sha256 recorded for an address, None when it was never downloaded."""
    path = Path(lock_path)
    if not path.exists():
        return None
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return _parse(file.read()).get(address)


def record_sums(lock_path: str | Path, address: str, sums: Sums) -> None:
    """Add an address to the record unless it is there; safe beside other downloads."""
    path = Path(lock_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if address in _parse(text):
            return
        header = "" if text else "\t".join(COLUMNS) + "\n"
        line = "\t".join((address, sums.sha256, sums.md5, str(sums.size)))
        file.write(f"{header}{line}\n")


def _parse(text: str) -> dict[str, str]:
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {row[0]: row[1] for row in rows if len(row) == len(COLUMNS)}
