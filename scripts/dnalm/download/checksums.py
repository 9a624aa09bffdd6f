"""Checksums of downloads: expected ones of the configuration, recorded ones of first downloads."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnalm.download.file_locks import hold
from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES, atomic_path

COLUMNS = ("address", "sha256", "md5", "bytes")
ALGORITHMS = ("sha256", "md5")
SUMS = re.compile(r"([0-9a-f]{64})\t([0-9a-f]{32})\t([0-9]{1,18})")
REPAIR = (
    "take the line from a copy, or remove it: what its file has then is recorded again, unchecked"
)


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
    """Return the sha256 recorded for an address, None when it was never downloaded.

    Raises:
        InputError: a line of the record is damaged, so that a checksum may be lost.
    """
    sums = _read(lock_path).get(address)
    return sums.sha256 if sums else None


def record_checksums(lock_path: str | Path, address: str, sums: Checksums) -> None:
    """Record the checksums of an address, in place of older ones; safe beside other downloads.

    The record is written anew, as a whole or not at all.

    Raises:
        InputError: a line of the record is damaged; see `recorded_sha256`.
    """
    path = Path(lock_path)
    with hold(path.with_name(path.name + ".lock")):
        rows = _read(path)
        if rows.get(address) == sums:
            return
        rows[address] = sums
        lines = ["\t".join(COLUMNS), *(_line(name, row) for name, row in rows.items())]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _line(address: str, sums: Checksums) -> str:
    return "\t".join((address, sums.sha256, sums.md5, str(sums.size)))


def _read(lock_path: str | Path) -> dict[str, Checksums]:
    path = Path(lock_path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise InputError(f"{path}: the record of checksums is not text; {REPAIR}.") from None
    if not lines:
        raise InputError(
            f"{path}: the record of checksums is empty, its lines are lost; take a copy of it, or"
            " remove it: what the files have then is recorded again, unchecked."
        )
    rows: dict[str, Checksums] = {}
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\n").split("\t")
        if cells == list(COLUMNS) or not line.strip():
            continue
        address, *sums = cells
        if not line.endswith("\n") or not (match := SUMS.fullmatch("\t".join(sums))):
            raise InputError(
                f"{path}:{number}: the record of checksums is damaged at '{line.strip()[:80]}';"
                f" {REPAIR}."
            )
        rows[address] = Checksums(sha256=match[1], md5=match[2], size=int(match[3]))
    return rows
