"""HTTP transfer of one URL into a partial file: retried with back-off, resumed by range requests.

Every way in which a transfer can break off silently is made an error here that leads to another
attempt: fewer or more bytes than announced, another range than requested, a truncated archive.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from dnalm.download.answers import Version, answered_extent, answered_version, read_version
from dnalm.download.disk_space import BYTES_PER_GB, check_space
from dnalm.download.integrity import find_damage, find_mismatch, is_web_page
from dnalm.download.patience import PatientAdapter, SlowServerError
from dnalm.errors import InputError, NoSpaceError
from dnalm.files import CHUNK_BYTES
from dnalm.jobs.credentials import hide_passwords
from dnalm.jobs.exhaustion import is_disk_full
from dnalm.jobs.progress import Progress

RETRY_STATUSES = (408, 429, 500, 502, 503, 504)  # HTTP statuses of a busy server
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Retries, back-off and timeouts of a transfer; all but `attempts` are in seconds.

    attempts: so many in a row without progress; first_wait: doubled each time, up to longest_wait,
    which also bounds what a server may ask for in Retry-After; timeout: for connecting and for
    each silence; patience: in which at least `least_bytes` of an answer, its headers among them,
    have to come, or it counts as none.
    """

    attempts: int
    first_wait: float
    longest_wait: float
    timeout: float
    patience: float
    least_bytes: int


RETRY_POLICY = RetryPolicy(
    attempts=7,
    first_wait=1,
    longest_wait=600,
    timeout=60,
    patience=300,
    least_bytes=300_000,  # 1 kB/s: a genome of 1 GB would take twelve days
)


class Transfer:
    """Downloads one URL into a partial file, resuming what is already there."""

    def __init__(
        self,
        url: str,
        partial: Path,
        policy: RetryPolicy,
        *,
        name: str,
        any_source: bool,
        copied_to: Sequence[Path],
        headers: Mapping[str, str],
    ) -> None:
        """Set up a transfer of `url` into `partial`, of a file that is called `name`.

        With `any_source`, because a checksum is verified at the end, bytes from another address or
        an older version may be resumed, and an answer need not be what `name` promises. `copied_to`
        are folders that will get a copy of the file; free space is checked there, too. `headers`
        are sent along; one of them that opens a door never goes to another host.
        """
        self.url, self.partial, self.policy = url, partial, policy
        self.shown, self.name = hide_passwords(url), name
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
        self.session = _Session(any_source)
        self.session.headers.update(headers)
        for scheme in ("http://", "https://"):
            adapter = PatientAdapter(policy.patience, policy.least_bytes, max_retries=retry)
            self.session.mount(scheme, adapter)

    def run(self) -> bool:
        """Download until complete; return whether bytes of an earlier run were resumed.

        Raises:
            requests.RequestException, urllib3.exceptions.HTTPError: it cannot be fetched.
            InputError: the answer is a web page, or not what the name of the file promises.
            NoSpaceError: it does not fit on the disk.
        """
        resumed = self._size() > 0 and self._may_resume()
        best, idle = self._size(), 0
        with self.session:
            while True:
                try:
                    self._get()
                    self.origin.unlink(missing_ok=True)
                    return resumed
                except urllib3.exceptions.HTTPError as error:
                    useful = self._size() > best and not isinstance(error, SlowServerError)
                    idle = 0 if useful else idle + 1
                    best = max(best, self._size())
                    logger.info("%s: broke off at byte %d (%s)", self.shown, self._size(), error)
                    if idle >= self.policy.attempts:
                        raise
                    wait = self.policy.first_wait * 2**idle
                    time.sleep(min(wait, self.policy.longest_wait))

    def _may_resume(self) -> bool:
        """Return whether the partial bytes can be known to be of the version that is there now."""
        version = read_version(self.origin, self.shown)
        return self.any_source or bool(version and version.validator)

    def _get(self) -> None:
        if not self._may_resume():
            self.partial.unlink(missing_ok=True)
        have, before = self._size(), read_version(self.origin, self.shown)
        # The file as it lies on the server, never decompressed on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if before and before.validator:
                headers["If-Range"] = before.validator
        with self.session.get(
            self.url, headers=headers, stream=True, timeout=self.policy.timeout
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                size = before.size if before else None
                complete = response.headers.get("Content-Range") == f"bytes */{have}"
                if complete and (self.any_source or size == have):
                    return  # all of it is here already
                self._discard(f"the file does not reach byte {have}")
            response.raise_for_status()
            try:
                first, size = answered_extent(response, have)
                now = answered_version(response, self.shown, size)
            except ValueError as error:
                self._discard(str(error))
            if first and before and (change := before.find_change(now)):
                self._discard(f"the file changed on the server ({change})")
            if size is None and first and before:
                size = before.size
            self._save(response, first, now)
        if size is None and (damage := find_damage(self.partial, self.name)):
            raise urllib3.exceptions.HTTPError(f"{damage}, and the server named no length")
        if size is not None and self._size() > size:
            self._discard(f"{self._size()} bytes came of a file of {size}")
        if size is not None and self._size() < size:
            raise urllib3.exceptions.HTTPError(f"only {self._size()} of {size} bytes came")

    def _save(self, response: requests.Response, first: int, now: Version) -> None:
        chunk = _read(response)
        # Checked before what is there is overwritten: a login page must not cost gigabytes.
        if not first:
            self._check_start(response, chunk)
        if now.size is not None:
            copies = ((folder, now.size) for folder in self.copied_to)
            check_space(self.shown, [(self.partial.parent, now.size - self._size()), *copies])
        if not first:
            now.write(self.origin)
        try:
            with (
                open(self.partial, "ab" if first else "wb") as file,
                Progress(self.shown, "B", now.size, done=first) as progress,
            ):
                while chunk:
                    file.write(chunk)
                    progress.advance(len(chunk))
                    chunk = _read(response)
        except OSError as error:
            if not is_disk_full(error, self.partial.parent):
                raise
            raise NoSpaceError(
                f"{self.shown}: the disk of {self.partial.parent} is full after"
                f" {self._size() / BYTES_PER_GB:.1f} GB; make room and start again, what has come"
                " is kept."
            ) from None

    def _check_start(self, response: requests.Response, start: bytes) -> None:
        if is_web_page(start):
            raise page_error(self.shown)
        if self.any_source:
            return  # its checksum will tell
        encoding = response.headers.get("Content-Encoding", "").strip()
        if encoding.lower() not in ("", "identity"):
            raise InputError(
                f"{self.shown}: the server sent the file in the encoding '{encoding}' though it was"
                " asked for the file itself; give its sha256 or md5 if these bytes are right, or"
                " another address."
            )
        if mismatch := find_mismatch(self.name, start):
            raise InputError(
                f"{self.shown}: {mismatch}; open the address to see what the server says, then"
                " correct it."
            )

    def _discard(self, reason: str) -> None:
        self.partial.unlink(missing_ok=True)
        raise urllib3.exceptions.HTTPError(reason)

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0


def _read(response: requests.Response) -> bytes:
    """Return the bytes of an answer that have come, none behind its end."""
    return response.raw.read1(CHUNK_BYTES, decode_content=False)


class _Session(requests.Session):
    """Follows redirects, but from https to http only where a checksum is verified at the end."""

    def __init__(self, is_verified: bool) -> None:
        super().__init__()
        self.is_verified = is_verified

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target is None or urlsplit(response.url).scheme != "https":
            return target
        there = urljoin(response.url, target)
        if urlsplit(there).scheme == "http":
            fall = f"{response.url}: the server leads from https to {there}, which anybody on the"
            if not self.is_verified:
                raise InputError(
                    f"{fall} way can change; give the file's sha256 or md5, or the http address"
                    " itself if that is what you want."
                )
            logger.warning(hide_passwords(f"{fall} way can change; its checksum decides"))
        return target


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
