"""How far a long piece of work is: a bar on a terminal, a line a minute in the log."""

import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

LINE_SECONDS = 60
GRACE_SECONDS = 1  # in which a piece of work that is counted may speak first
BAR_SECONDS = 0.5
SCALES = {"B": (1e6, "MB")}  # of other units all digits are written
T = TypeVar("T")

logger = logging.getLogger(__name__)


def progress(
    items: Iterable[T],
    what: str,
    unit: str,
    total: int | None = None,
    size: Callable[[T], int] = lambda item: 1,
) -> Iterator[T]:
    """Yield the items; say in the log, and on a terminal, how many of `total` units are done.

    `unit` is a plural; `size` says how many of them an item is. Without `total` it is the number of
    items, where that is known.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(what, unit, total) as done:
        for item in items:
            yield item
            done.advance(size(item))


class Progress:
    """Counts what is done, as a context: a line at its start, one a minute, one at its end.

    The line of a minute comes whether anything was done in it or not: a job that is silent looks
    like one that hangs. Only what a context brings to its end without an error has a last line.
    """

    def __init__(
        self,
        what: str,
        unit: str,
        total: int | None = None,
        *,
        done: int = 0,
        visible: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin after `done` of `total` units (a plural, or B for bytes); None: nobody knows.

        One that is not `visible`, as in all processes but the first, counts and says nothing.
        """
        self._what, self._unit, self._total = what, unit, total
        self._first = self._done = done
        self._note = ""
        self._visible, self._clock = visible, clock
        self._begun = clock()
        self._next_line = self._begun + LINE_SECONDS
        self._telling = threading.Lock()
        self._tally: Tally | None = None
        self._bar: Any = None
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        if self._visible:
            known = "" if self._total is None else f": {self._amount(self._total)}"
            before = f", {self._amount(self._done)} of them done before" if self._done else ""
            logger.info("%s%s%s", self._what, known or " begins", before)
            if sys.stderr.isatty():
                self._bar = self._make_bar()
                self._ending.callback(self._bar.close)
                self._ending.callback(self._draw)
            self._ending.enter_context(repeating(self._look))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ending.close()
        if self._visible and kind is None:
            counted = f"{self._amount(self.done)} in " if self.done or self._total else ""
            seconds = self._clock() - self._begun
            logger.info("%s: %s%s%s", self._what, counted, duration(seconds), self._note)

    @property
    def done(self) -> int:
        """How many units are done, those of other processes included."""
        tally = self._tally  # which the work may give up while the thread beside it looks
        return self._done + (tally.count() if tally else 0)

    def advance(self, count: int = 1) -> None:
        """Note that so many more units are done."""
        self._done += count
        if self._visible and self._clock() >= self._next_line:
            self._tell()

    def note(self, text: str) -> None:
        """Say this behind the numbers from now on."""
        self._note = f", {text}" if text else ""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    @contextmanager
    def tally(self) -> Iterator["Tally"]:
        """Yield what processes of this machine, to which it may be sent, count units with."""
        descriptor, name = tempfile.mkstemp(prefix="dnalm-progress-")
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        if os.path.exists(path):  # has no name from now on, so a killed job leaves nothing
            os.unlink(name)
        else:
            path = name
        self._tally = tally = Tally(path)
        try:
            yield tally
        finally:
            self._tally = None
            self._done += tally.count()
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)

    def _make_bar(self) -> Any:
        from tqdm import tqdm  # most jobs have no terminal

        return tqdm(
            desc=self._what,
            total=self._total,
            initial=self._done,
            unit=self._unit if self._unit in SCALES else f" {self._unit}",
            unit_scale=True,
            dynamic_ncols=True,
        )

    def _look(self) -> float:
        """Show what is due; return how many seconds later there is more to show."""
        if self._clock() >= self._next_line:
            self._tell()
        left = self._next_line - self._clock()
        if self._bar is None:
            return left
        self._draw()
        return min(left, BAR_SECONDS)

    def _draw(self) -> None:
        self._bar.update(self.done - self._bar.n)

    def _tell(self) -> None:
        with self._telling:  # the thread that looks may be about to say the same
            now = self._clock()
            if now < self._next_line:
                return
            self._next_line = now + LINE_SECONDS
            logger.info("%s: %s%s", self._what, self._describe(now - self._begun), self._note)

    def _describe(self, seconds: float) -> str:
        """Return what is done after so many seconds, its rate, and the time that is left."""
        done, total = self.done, self._total
        if done == self._first:
            counted = f"{self._amount(done, total)} " if done or total else ""
            return f"{counted}after {duration(seconds)}"
        rate = (done - self._first) / max(seconds, 1e-9)
        share = f" ({done / total:.0%})" if total else ""
        left = f", {duration(max(0, total - done) / rate)} left" if total else ""
        return f"{self._amount(done, total)}{share}, {self._amount(rate)}/s{left}"

    def _amount(self, count: float, total: int | None = None) -> str:
        scale, unit = SCALES.get(self._unit, (1, self._unit))
        of = f" of {_number(total / scale)}" if total else ""
        return f"{_number(count / scale)}{of} {unit}"


@dataclass(frozen=True)
class Tally:
    """What several processes count with: a file that grows by a byte for each unit."""

    path: str

    def add(self, count: int = 1) -> None:
        """Note that so many more units are done."""
        # No work fails because a disk is full or its count was given up.
        with suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, bytes(int(count)))  # those of a numpy integer are others
            finally:
                os.close(descriptor)

    def count(self) -> int:
        """Return how many units all processes have noted."""
        with suppress(OSError):
            return os.path.getsize(self.path)
        return 0


@contextmanager
def heartbeat() -> Iterator[None]:
    """Log a line for every minute of this block in which nothing else was logged."""
    begun, ear = time.monotonic(), _Ear()
    logging.getLogger().addHandler(ear)

    def beat() -> float:
        if time.monotonic() - ear.heard >= LINE_SECONDS + GRACE_SECONDS:
            logger.info("At work for %s.", duration(time.monotonic() - begun))
        return LINE_SECONDS + GRACE_SECONDS - (time.monotonic() - ear.heard)

    try:
        with repeating(beat):
            yield
    finally:
        logging.getLogger().removeHandler(ear)


class _Ear(logging.Handler):
    """Knows when something was logged last."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = time.monotonic()


@contextmanager
def repeating(act: Callable[[], float]) -> Iterator[None]:
    """Call `act`, which returns after how many seconds again, in a thread beside this block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(max(0.01, act())):
            pass

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def duration(seconds: float) -> str:
    """Return a time in words: seconds, minutes from 90 s on, hours from 90 min on."""
    if seconds < 90:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:.3g}"
