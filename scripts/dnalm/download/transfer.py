"""HTTP transfer of one URL into a partial file: retried with back-off, resumed by range requests.

Every way in which a transfer can break off silently is made an error here that leads to another
attempt: fewer or more bytes than announced, another range than requested, a truncated archive.
"""

import errno
import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter

from dnalm.download.disk_space import BYTES_PER_GB, NoSpaceError, check_space
from dnalm.download.integrity import find_damage, is_web_page
from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES
from dnalm.jobs.progress import Progress

RETRY_STATUSES = (408, 429, 500, 502, 503, 504)  # HTTP statuses of a busy server
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Retries, back-off and timeouts of a transfer; all but `attempts` are in seconds.

    attempts: so many in a row without progress; first_wait: doubled each time, up to longest_wait,
    which also bounds what a server may ask for in Retry-After; timeout: for connecting and for
    each silence.
    """

    attempts: int
    first_wait: float
    longest_wait: float
    timeout: float


RETRY_POLICY = RetryPolicy(attempts=7, first_wait=1, longest_wait=600, timeout=60)


class Transfer:
    """Downloads one URL into a partial file, resuming what is already there."""

    def __init__(
        self,
        url: str,
        partial: Path,
        policy: RetryPolicy,
        *,
        any_source: bool,
        copied_to: Sequence[Path],
    ) -> None:
        """Set up a transfer of `url` into `partial`.

        With `any_source`, because a checksum is verified at the end, bytes from another address or
        an older version may be resumed. `copied_to` are folders that will get a copy of the file;
        free space is checked there, too.
        """
        self.url, self.partial, self.policy = url, partial, policy
        self.any_source, self.copied_to = any_source, copied_to
        self.origin = partial.with_name(partial.name + ".json")
        retry = _Retry(
            total=policy.attempts,
            backoff_factor=policy.first_wait,
            backoff_max=policy.longest_wait,
            status_forcelist=RETRY_STATUSES,
            allowed_methods=("GET",),
        )
        # A session reads http_proxy, https_proxy and no_proxy from the environment.
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry))

    def run(self) -> bool:
        """Download until complete; return whether bytes of an earlier run were resumed.

        Raises:
            requests.RequestException, urllib3.exceptions.HTTPError: it cannot be fetched.
            InputError: the answer is a web page.
            NoSpaceError: it does not fit on the disk.
        """
        if not (self.any_source or self._validator()):
            self.partial.unlink(missing_ok=True)
        resumed = self._size() > 0
        best, idle = self._size(), 0
        with self.session:
            while True:
                try:
                    self._get()
                    self.origin.unlink(missing_ok=True)
                    return resumed
                except urllib3.exceptions.HTTPError as error:
                    idle = 0 if self._size() > best else idle + 1
                    best = max(best, self._size())
                    logger.info("%s: broke off at byte %d (%s)", self.url, self._size(), error)
                    if idle >= self.policy.attempts:
                        raise
                    wait = self.policy.first_wait * 2**idle
                    time.sleep(min(wait, self.policy.longest_wait))

    def _get(self) -> None:
        have, validator = self._size(), self._validator()
        # The file as it lies on the server, never decompressed on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        with self.session.get(
            self.url, headers=headers, stream=True, timeout=self.policy.timeout
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return  # all of it is here already
                self._discard(f"the file does not reach byte {have}")
            response.raise_for_status()
            first, total = self._extent(response, have)
            self._save(response, first, total)
        if total is None and (damage := find_damage(self.partial)):
            raise urllib3.exceptions.HTTPError(f"{damage}, and the server named no length")
        if total is not None and self._size() > total:
            self._discard(f"{self._size()} bytes came of a file of {total}")
        if total is not None and self._size() < total:
            raise urllib3.exceptions.HTTPError(f"only {self._size()} of {total} bytes came")

    def _extent(self, response: requests.Response, have: int) -> tuple[int, int | None]:
        """Return the first byte of an answer and the bytes of the whole file, None if not said."""
        if response.status_code != requests.codes.partial_content:
            length = response.headers.get("Content-Length")
            return 0, int(length) if length else None
        given = response.headers.get("Content-Range", "")
        match = CONTENT_RANGE.fullmatch(given)
        if not match or int(match[1]) != have:
            self._discard(f"the server sent '{given}' when asked for what follows byte {have}")
        return have, None if match[2] == "*" else int(match[2])

    def _save(self, response: requests.Response, first: int, total: int | None) -> None:
        chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
        chunk = next(chunks, b"")
        # Checked before what is there is overwritten: a login page must not cost gigabytes.
        if not first and is_web_page(chunk):
            raise page_error(self.url)
        if total is not None:
            copies = ((folder, total) for folder in self.copied_to)
            check_space(self.url, [(self.partial.parent, total - self._size()), *copies])
        self._remember(response)
        try:
            with (
                open(self.partial, "ab" if first else "wb") as file,
                Progress(self.url, "B", total, done=first) as progress,
            ):
                while chunk:
                    file.write(chunk)
                    progress.advance(len(chunk))
                    chunk = next(chunks, b"")
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            raise NoSpaceError(
                f"{self.url}: the disk of {self.partial.parent} is full after"
                f" {self._size() / BYTES_PER_GB:.1f} GB; make room and start again, what has come"
                " is kept."
            ) from None

    def _discard(self, reason: str) -> None:
        self.partial.unlink(missing_ok=True)
        raise urllib3.exceptions.HTTPError(reason)

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _validator(self) -> str | None:
        """Return the ETag or date of the partial bytes if they came from this URL, else None."""
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


class _Retry(urllib3.Retry):
    """Exponential back-off that logs its waits, none longer than `backoff_max`."""

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        if response is not None:
            after = response.headers.get("Retry-After")
            request = f" and asks for {after} s of patience" if after else ""
            logger.info("the server answers %d%s; trying again", response.status, request)
        super().sleep(response)

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        try:
            seconds = super().get_retry_after(response)
        except urllib3.exceptions.InvalidHeader:
            return None
        return None if seconds is None else min(seconds, self.backoff_max)


def page_error(what: str) -> InputError:
    """Return the error of a page that was sent in place of a file."""
    return InputError(
        f"{what}: the server answered with a web page instead of the file; open the address "
        "in a browser to see what it says, then correct it."
    )
