"""What an HTTP server says of a file: its bytes, and the version that they are of.

Source: RFC 9110, sections 8.6 (Content-Length), 8.8 (validators) and 14.4 (Content-Range).
"""

import json
import re
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self

import requests

LENGTH = re.compile(r"[0-9]{1,18}")
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
WEAK = "W/"
# A file that was written less than this before it was sent may change again in the same second.
STRONG_AGE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a server says of the file at `url`: size, ETag and Last-Modified, None where unsaid.

    `dated`: the file is old enough for its Last-Modified to be that of no other version.
    """

    url: str
    size: int | None
    etag: str | None
    modified: str | None
    dated: bool

    @property
    def validator(self) -> str | None:
        """What If-Range may hold: a strong ETag or a date; None where bytes cannot be told apart.

        A weak ETag stands for files that mean the same, not for equal bytes.
        """
        if self.etag and not self.etag.startswith(WEAK):
            return self.etag
        return self.modified if self.dated else None

    def find_change(self, now: Self) -> str | None:
        """Return what shows that `now` is another version; None where nothing does."""
        facts = (
            ("size", self.size, now.size),
            ("ETag", self.etag, now.etag),
            ("Last-Modified", self.modified, now.modified),
        )
        for what, old, new in facts:
            if old is not None and new is not None and old != new:
                return f"its {what} was {old} and is {new}"
        return None

    def write(self, path: Path) -> None:
        """Keep the version beside the bytes that have come of it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_version(path: Path, url: str) -> Version | None:
    """Return the version of which bytes were kept; None if none is known, or of another URL."""
    try:
        version = Version(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return version if version.url == url else None


def answered_version(response: requests.Response, url: str, size: int | None) -> Version:
    """Return the version of a file that an answer is of."""
    modified = response.headers.get("Last-Modified")
    return Version(
        url=url,
        size=size,
        etag=response.headers.get("ETag"),
        modified=modified,
        dated=_is_dated(modified, response.headers.get("Date")),
    )


def answered_extent(response: requests.Response, have: int) -> tuple[int, int | None]:
    """Return the first byte of an answer and the bytes of the whole file, None if not said.

    `have` bytes were there; what follows them was asked for.

    Raises:
        ValueError: a length or range that is none, or another range than the one asked for.
    """
    if response.status_code != requests.codes.partial_content:
        length = response.headers.get("Content-Length")
        if length is not None and not LENGTH.fullmatch(length.strip()):
            raise ValueError(f"the server named the length '{length}'")
        return 0, None if length is None else int(length)
    given = response.headers.get("Content-Range", "")
    match = CONTENT_RANGE.fullmatch(given)
    if not match or int(match[1]) != have:
        raise ValueError(f"the server sent '{given}' when asked for what follows byte {have}")
    return have, None if match[3] == "*" else int(match[3])


def _is_dated(modified: str | None, sent: str | None) -> bool:
    if modified is None or sent is None:
        return False
    try:
        age = parsedate_to_datetime(sent) - parsedate_to_datetime(modified)
        return age.total_seconds() >= STRONG_AGE_SECONDS
    except (TypeError, ValueError):  # one of them is no date, or has no time zone
        return False
