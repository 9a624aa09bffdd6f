"""Downloads: retried, resumed, verified by checksum, and copied to and from a mirror.

A file has its final name only when it is complete and its checksum is right. What has arrived
until then lies beside it as `<name>.partial` and is resumed by the next attempt.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from dnalm.download.addresses import address_of, web_url
from dnalm.download.checksums import (
    Checksums,
    checksums_of,
    record_checksums,
    recorded_sha256,
    verify_checksums,
)
from dnalm.download.disk_space import check_space
from dnalm.download.file_locks import hold
from dnalm.download.integrity import SNIFFED_BYTES, find_damage, is_web_page
from dnalm.download.transfer import RETRY_POLICY, RetryPolicy, Transfer, page_error
from dnalm.errors import InputError, NoSpaceError
from dnalm.files import CHUNK_BYTES, atomic_path
from dnalm.jobs.credentials import hide_passwords

FICLONE = 0x40049409  # Linux: let a new file share the blocks of another one
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Expectation:
    """The expected checksums of a file, None where unknown, and the remedy for another file.

    `name` is what the file is called where it comes from, which promises what is in it.
    """

    name: str
    sha256: str | None
    md5: str | None
    remedy: str

    @property
    def has_sum(self) -> bool:
        return bool(self.sha256 or self.md5)

    def check(self, what: str, path: Path) -> Checksums:
        """Return a file's checksums; raise InputError, naming `what`, when it is another file."""
        with open(path, "rb") as file:
            if is_web_page(file.read(SNIFFED_BYTES)):
                raise page_error(what)
        sums = checksums_of(path)
        verify_checksums(what, sums, self.sha256, self.md5, self.remedy)
        if not self.has_sum and (damage := find_damage(path, self.name)):
            raise InputError(f"{what}: {damage}; get the file again or from another address.")
        return sums


def download(
    urls: Sequence[str],
    destination: str | Path,
    *,
    sha256: str | None,
    md5: str | None,
    mirror: str | Path | None,
    lock_path: str | Path,
    policy: RetryPolicy = RETRY_POLICY,
    address: str | None = None,
    headers: Mapping[str, str] | None = None,
    copies: Sequence[Path] = (),
) -> None:
    """Download the file that all `urls` offer to `destination`, unless it is there already.

    A copy in `mirror`, at `address_of` any of the URLs, is taken instead of the network; what
    comes from the network is copied there. Without `sha256` and `md5` the sha256 recorded in
    `lock_path` on the first download is the expected one. Of two calls for one destination, also
    in two processes, the second waits for the first and finds its file.

    `address` is what mirror and record know the file by, where it is not that of the URLs.
    `headers` are sent along. `copies` are more places where a copy may lie.

    Raises:
        InputError: no address gives the file, or what they give, or what is there, is another one.
        NoSpaceError: it does not fit on the disk of the destination or of the mirror.
    """
    destination, urls = Path(destination), [web_url(url) for url in urls]
    known = [address] if address else [address_of(url) for url in urls]
    address, *_ = known
    mirrors = [Path(mirror) / one for one in known] if mirror else []
    with hold(destination.with_name(destination.name + ".partial.lock")):
        expected = _expect(lock_path, address, sha256, md5)
        copied = next(filter(Path.is_file, (*mirrors, *copies)), None)
        if found := _find(destination, expected):
            if not expected.has_sum:
                logger.warning(
                    "%s has no line in %s: it was put there by hand, or its line was lost; the sum"
                    " that it has today is recorded",
                    destination,
                    lock_path,
                )
            record_checksums(lock_path, address, found)
        elif copied:
            sums = expected.check(str(copied), copied)
            check_space(str(copied), [(destination.parent, sums.size)])
            record_checksums(lock_path, address, sums)
            copy_file(copied, destination)
            where = "the mirror" if copied in mirrors else "a copy"
            logger.info("%s was copied from %s, %s", destination, where, copied)
        else:
            sums = _fetch(urls, destination, expected, mirrors[:1], policy, address, headers or {})
            # First, so that no file has its final name whose sum is not known to have been kept.
            record_checksums(lock_path, address, sums)
            os.replace(_partial_of(destination), destination)
        if mirrors and copied not in mirrors:
            _keep(destination, mirrors[0])


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file, as a reflink where the file system can share its blocks.

    Never a hard link: Snakemake sets the time of what a rule has made, and with it that of every
    other run's link, whose results would then count as older than their input.
    """
    with (
        atomic_path(target) as temporary,
        open(source, "rb") as old,
        open(temporary, "wb") as new,
    ):
        try:
            fcntl.ioctl(new, FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, CHUNK_BYTES)
    logger.info("%s is copied to %s", source, target)


def _find(destination: Path, expected: _Expectation) -> Checksums | None:
    """Return the checksums of the file at `destination` if it is the expected one, else None."""
    if not destination.exists():
        return None
    try:
        sums = expected.check(str(destination), destination)
    except InputError as error:
        logger.warning("%s It is fetched again.", error)
        return None
    logger.info("%s is there already and is kept", destination)
    return sums


def _expect(
    lock_path: str | Path, address: str, sha256: str | None, md5: str | None
) -> _Expectation:
    name, recorded = address.rpartition("/")[2], recorded_sha256(lock_path, address)
    if sha256 or md5:
        remedy = "correct the checksum in the configuration or get the file again"
        return _Expectation(name=name, sha256=sha256, md5=md5, remedy=remedy)
    remedy = f"if the change is intended, remove the line of {address} from {lock_path}"
    return _Expectation(name=name, sha256=recorded, md5=None, remedy=remedy)


def _fetch(
    urls: Sequence[str],
    destination: Path,
    expected: _Expectation,
    copies: Sequence[Path],
    policy: RetryPolicy,
    address: str,
    headers: Mapping[str, str],
) -> Checksums:
    """Download the partial file of `destination` from the first of `urls` that gives it.

    Returns its checksums.
    """
    partial = _partial_of(destination)
    failures: dict[str, Exception] = {}
    for url in urls:
        transfer = Transfer(
            url,
            partial,
            policy,
            name=expected.name,
            any_source=expected.has_sum,
            copied_to=[copy.parent for copy in copies],
            headers=headers,
        )
        try:
            sums = _run(transfer, expected)
        except NoSpaceError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, InputError) as error:
            logger.warning("%s: %s", transfer.shown, hide_passwords(str(error)))
            failures[url] = error
            continue
        logger.info("%s came from %s, %s bytes", destination, transfer.shown, f"{sums.size:,}")
        return sums
    wrong = next((error for error in failures.values() if isinstance(error, InputError)), None)
    if wrong is not None:
        raise wrong
    reasons = "; ".join(f"{url}: no download, {_reason(failures[url])}" for url in urls)
    raise InputError(
        f"{reasons}; check the address and the network, or put the file into a mirror folder as "
        f"{address}."
    )


def _partial_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".partial")


def _run(transfer: Transfer, expected: _Expectation) -> Checksums:
    """Transfer and verify a file; once more from byte 0 if what was resumed is not one file."""
    resumed = transfer.run()
    try:
        return expected.check(transfer.shown, transfer.partial)
    except InputError:
        transfer.partial.unlink()
        if not resumed:
            raise
    logger.warning("%s: what was resumed is not one file, starting again", transfer.shown)
    transfer.run()
    try:
        return expected.check(transfer.shown, transfer.partial)
    except InputError:
        transfer.partial.unlink()
        raise


def _keep(source: Path, copy: Path) -> None:
    try:
        copy_file(source, copy)
    except (OSError, NoSpaceError) as error:
        logger.warning("%s could not be put into the mirror: %s", copy, error)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.RetryError):
        return "the server stayed busy"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy that http_proxy or https_proxy names did not connect"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was refused"
    if isinstance(error, urllib3.exceptions.HTTPError):  # it broke off too often
        return f"the connection failed ({error})"
    return f"the connection failed ({type(error).__name__})"
