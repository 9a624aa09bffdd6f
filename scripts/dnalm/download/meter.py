"""How far a download is: a bar on a terminal, a line a minute in the log."""

import logging
import time
from typing import Self

from tqdm import tqdm

MEGABYTE = 1e6
logger = logging.getLogger(__name__)


class Meter:
    """Counts a file's bytes against the clock, as a context that closes the bar."""

    def __init__(self, url: str, first: int, total: int | None, report_every: float) -> None:
        """Begin after `first` of `total` bytes, None if that is not known.

        `report_every` is the time between two lines in the log, in seconds.
        """
        self.url, self.first, self.total, self.report_every = url, first, total, report_every
        self.done, self.begun = first, time.monotonic()
        self.reported = self.begun
        self.bar = tqdm(
            total=total,
            initial=first,
            unit="B",
            unit_scale=True,
            desc=url.rpartition("/")[2],
            dynamic_ncols=True,
            disable=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, count: int) -> None:
        """Note that so many bytes more have been written."""
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if now - self.reported < self.report_every:
            return
        self.reported = now
        share = f" of {self.total / MEGABYTE:.0f}" if self.total else ""
        percent = f", {self.done / self.total:.0%}" if self.total else ""
        speed = (self.done - self.first) / MEGABYTE / max(now - self.begun, 1e-9)
        logger.info(
            "%s: %.0f%s MB%s, %.1f MB/s", self.url, self.done / MEGABYTE, share, percent, speed
        )
