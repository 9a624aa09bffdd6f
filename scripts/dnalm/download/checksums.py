"""Checksums of downloads: expected ones of the configuration, recorded ones of first downloads."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnalm.download.file_locks import lock
from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES

COLUMNS = ("address", "sha256", "md5", "bytes")
ALGORITHMS = ("sha256", "md5")


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """sha256 and md5 (hexadecimal) and size in bytes of one file."""

    sha256: str
    md5: str
    size: int


def checksums_of(path: str | Path) -> Checksums:
    """Return the checksums and size of a file, read once."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return Checksums(sha256=sha256.hexdigest(), md5=md5.hexdigest(), size=size)


def verify_checksums(
    what: str, found: Checksums, sha256: str | None, md5: str | None, remedy: str
) -> None:
    """Raise InputError, naming `what` and the `remedy`, when a checksum is not the expected one."""
    for algorithm, expected in (("sha256", sha256), ("md5", md5)):
        value = getattr(found, algorithm)
        if expected and expected.lower() != value:
            raise InputError(f"{what}: its {algorithm} is {value}, expected {expected}; {remedy}.")


def check_downloaded(
    folder: str | Path, lock_path: str | Path, downloads: Mapping[str, Mapping[str, str | None]]
) -> None:
    """Compare the checksums of the configuration with those recorded of the downloaded files.

    `downloads` is {address: its sha256 and md5, None where not given}. No file is read:
    `lock_path` records what each was when it was downloaded.

    Raises:
        InputError: a file below `folder` has another checksum than the configuration expects now.
    """
    recorded = _read(lock_path)
    for address in downloads.keys() & recorded.keys():
        path, found = Path(folder) / address, recorded[address]
        expected = {algorithm: downloads[address][algorithm] for algorithm in ALGORITHMS}
        if path.exists():
            remedy = "correct the checksum in the configuration, or remove the file to get it again"
            verify_checksums(str(path), found, **expected, remedy=remedy)


def recorded_sha256(lock_path: str | Path, address: str) -> str | None:
    """Return the sha256 recorded for an address, None when it was never downloaded."""
    sums = _read(lock_path).get(address)
    return sums.sha256 if sums else None


def record_checksums(lock_path: str | Path, address: str, sums: Checksums) -> None:
    """Record the checksums of an address, in place of older ones; safe beside other downloads."""
    path = Path(lock_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        lock(file, exclusive=True)
        file.seek(0)
        text = file.read()
        rows = _parse(text)
        if rows.get(address) == sums:
            return
        if address in rows:  # the user gave the checksum of a newer file
            kept = (line for line in text.splitlines() if line.split("\t")[0] != address)
            text = "".join(f"{line}\n" for line in kept)
            file.truncate(0)
            file.write(text)
        header = "" if text else "\t".join(COLUMNS) + "\n"
        line = "\t".join((address, sums.sha256, sums.md5, str(sums.size)))
        file.write(f"{header}{line}\n")


def _read(lock_path: str | Path) -> dict[str, Checksums]:
    path = Path(lock_path)
    if not path.exists():
        return {}
    with open(path) as file:
        lock(file, exclusive=False)
        return _parse(file.read())


def _parse(text: str) -> dict[str, Checksums]:
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {
        address: Checksums(sha256=sha256, md5=md5, size=int(size))
        for address, sha256, md5, size in (row for row in rows if len(row) == len(COLUMNS))
    }
