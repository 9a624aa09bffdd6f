"""Connections that are given up when too few bytes come, be they of headers or of a file.

The timeout of a socket counts each silence alone: a server that sends a byte a second never breaks
it. So the bytes are counted where they come from the socket.
"""

import functools
import http.client
import io
import logging
import time
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter

logger = logging.getLogger(__name__)


class SlowServerError(urllib3.exceptions.HTTPError):
    """A server sends so little that a file would never be complete."""


class PatientAdapter(HTTPAdapter):
    """Raises SlowServerError when fewer than `least_bytes` of an answer come in `patience` s."""

    def __init__(self, patience: float, least_bytes: int, **options: Any) -> None:
        super().__init__(**options)
        self._response = functools.partial(
            _CountedResponse, patience=patience, least_bytes=least_bytes
        )

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the pool of a request, whose connections count the bytes that come."""
        pool = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = type(
            "CountedConnection",
            (type(pool).ConnectionCls,),
            {"response_class": staticmethod(self._response)},
        )
        return pool


class _CountedResponse(http.client.HTTPResponse):
    def __init__(self, *arguments: Any, patience: float, least_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_CountedBytes(self.fp.detach(), patience, least_bytes))


class _CountedBytes(io.RawIOBase):
    """The bytes of a socket: what has come can be read, more is not waited for any longer."""

    def __init__(self, raw: io.RawIOBase, patience: float, least_bytes: int) -> None:
        self._raw, self._patience, self._least_bytes = raw, patience, least_bytes
        self._begun, self._came = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        seconds = time.monotonic() - self._begun
        if seconds >= self._patience:
            if self._came < self._least_bytes:
                reason = f"only {self._came} bytes came in {seconds:.0f} s"
                logger.warning("%s; the connection is made anew", reason)
                raise SlowServerError(f"the server is too slow, {reason}")
            self._begun, self._came = time.monotonic(), 0
        count = self._raw.readinto(buffer)
        self._came += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
