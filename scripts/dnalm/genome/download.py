"""Downloads that survive bad networks: resumed, retried, checked, and mirrored.

A file has its final name only when it is complete and its checksum is right. What has arrived
until then lies beside it as `<name>.partial` and is resumed by the next attempt.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES, atomic_path
from dnalm.genome.addresses import address_of
from dnalm.genome.sums import Sums, check_sums, record_sums, recorded_sha256, sums_of

BUSY = (429, 500, 502, 503, 504)  # answers that ask to come back later
PAGE_STARTS = (b"<!doctype html", b"<html")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try: attempts without progress, first wait (doubled each time), time-out.

    Waits and time-out are in seconds; the time-out is for connecting and for each silence.
    """

    attempts: int
    first_wait: float
    timeout: float


PATIENCE = Patience(attempts=6, first_wait=1.0, timeout=60.0)


def download(
    urls: Sequence[str],
    destination: str | Path,
    *,
    sha256: str | None,
    md5: str | None,
    mirror: str | Path | None,
    lock_path: str | Path,
    patience: Patience = PATIENCE,
) -> None:
    """Put the file that all `urls` offer at `destination`.

    A copy in `mirror`, at `address_of` any of the URLs, is taken instead of the network (hard
    link, else copy); what comes from the network is put there. Without `sha256` and `md5` the sum
    recorded in `lock_path` on the first download is the expected one.

    Raises InputError, after trying every address, when the file cannot be had or is another one.
    """
    destination = Path(destination)
    address = address_of(urls[0])
    remedy = "correct the checksum in the configuration or get the file again"
    if not (sha256 or md5):
        sha256 = recorded_sha256(lock_path, address)
        remedy = f"if the change is intended, remove the line of {address} from {lock_path}"
    copies = [Path(mirror) / address_of(url) for url in urls] if mirror else []
    for copy in filter(Path.is_file, copies):
        sums = sums_of(copy)
        check_sums(str(copy), sums, sha256, md5, remedy)
        _refuse_page(copy, str(copy))
        _place(copy, destination)
        record_sums(lock_path, address, sums)
        return

    partial = destination.with_name(destination.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in urls:
        transfer = _Transfer(url, partial, patience, any_source=bool(sha256 or md5))
        try:
            resumed = transfer.run()
            try:
                sums = _inspect(url, partial, sha256, md5, remedy)
            except InputError:
                if not resumed:
                    raise
                logger.warning("%s: what was resumed is not one file, starting again", url)
                transfer.run()
                sums = _inspect(url, partial, sha256, md5, remedy)
        except (requests.RequestException, urllib3.exceptions.HTTPError, InputError) as error:
            logger.warning("%s: %s", url, error)
            failures.append(error)
            continue
        os.replace(partial, destination)
        record_sums(lock_path, address, sums)
        if mirror:
            _keep(destination, copies[0])
        return
    wrong = next((failure for failure in failures if isinstance(failure, InputError)), None)
    if wrong is not None:
        raise wrong
    raise InputError(
        f"{', '.join(urls)}: no download, {_reason(failures[-1])}; check the address and the "
        f"network, or put the file into a mirror folder as {address}."
    )


class _Transfer:
    """Brings one URL's bytes into a partial file, resuming what is already there."""

    def __init__(self, url: str, partial: Path, patience: Patience, *, any_source: bool) -> None:
        self.url, self.partial, self.patience = url, partial, patience
        self.origin = partial.with_name(partial.name + ".json")
        # With a checksum to end on, bytes from another address or an older visit may be built on.
        self.any_source = any_source
        retry = urllib3.Retry(
            total=patience.attempts,
            backoff_factor=patience.first_wait,
            status_forcelist=BUSY,
            allowed_methods=("GET",),
        )
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry))

    def run(self) -> bool:
        """Fetch until complete; return whether bytes of an earlier run were built on."""
        validator = self._validator()
        if not (self.any_source or validator):
            self.partial.unlink(missing_ok=True)
        resumed = self._size() > 0
        best, idle = self._size(), 0
        with self.session:
            while True:
                try:
                    self._get(self._validator())
                    self.origin.unlink(missing_ok=True)
                    return resumed
                except urllib3.exceptions.HTTPError as error:
                    idle = 0 if self._size() > best else idle + 1
                    best = max(best, self._size())
                    logger.info("%s: broke off at byte %d (%s)", self.url, self._size(), error)
                    if idle >= self.patience.attempts:
                        raise
                    time.sleep(self.patience.first_wait * 2**idle)

    def _get(self, validator: str | None) -> None:
        have = self._size()
        # Bytes as they lie on the server: never unpacked on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        with self.session.get(
            self.url, headers=headers, stream=True, timeout=self.patience.timeout
        ) as response:
            given = response.headers.get("Content-Range", "")
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if given == f"bytes */{have}":
                    return  # all of it is here already
                self.partial.unlink()
                raise urllib3.exceptions.HTTPError(f"the file does not reach byte {have}")
            response.raise_for_status()
            resumes = response.status_code == requests.codes.partial_content
            have = have if resumes and given.startswith(f"bytes {have}-") else 0
            self._remember(response)
            self._save(response, have)

    def _save(self, response: requests.Response, have: int) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            open(self.partial, "ab" if have else "wb") as file,
            tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc=self.url, disable=None
            ) as bar,
        ):
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise urllib3.exceptions.HTTPError(f"only {self._size()} of {total} bytes came")

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _validator(self) -> str | None:
        """Return what names the version of the bytes that are there, if they came from here."""
        try:
            origin = json.loads(self.origin.read_text())
        except (OSError, ValueError):
            return None
        return origin["validator"] if origin["url"] == self.url else None

    def _remember(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else None
        validator = validator or response.headers.get("Last-Modified")
        self.origin.write_text(json.dumps({"url": self.url, "validator": validator}))


def _inspect(url: str, partial: Path, sha256: str | None, md5: str | None, remedy: str) -> Sums:
    """Return the sums of a complete file; remove it and raise InputError when it is wrong."""
    try:
        _refuse_page(partial, url)
        sums = sums_of(partial)
        check_sums(url, sums, sha256, md5, remedy)
    except InputError:
        partial.unlink()
        raise
    return sums


def _refuse_page(path: Path, what: str) -> None:
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(PAGE_STARTS):
        raise InputError(
            f"{what}: the server answered with a web page instead of the file; open the address "
            "in a browser to see what it says, then correct it."
        )


def _place(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where links are not possible."""
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _keep(source: Path, copy: Path) -> None:
    try:
        _place(source, copy)
    except OSError as error:
        logger.warning("%s could not be put into the mirror: %s", copy, error)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.RetryError):
        return "the server stayed busy"
    return f"the connection failed ({type(error).__name__})"
