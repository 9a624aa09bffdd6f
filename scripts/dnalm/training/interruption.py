"""Requests to stop training early: signals and the time limit."""

import signal
import time
from types import FrameType
from typing import Self

# Ctrl-C and the end of a session reach the trainer as they reach Snakemake, which it is a child of.
# Whoever started us may have said that these two are to be ignored, as `nohup` does.
OF_TERMINAL = (signal.SIGINT, signal.SIGHUP)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, *OF_TERMINAL)
# Before the time is over, this share of it or this many seconds are kept for saving, whichever is
# less, and three times what the slowest checkpoint took, and what the slowest evaluation took.
MAX_RESERVE_SHARE = 0.05
MAX_RESERVE_SECONDS = 120
RESERVED_CHECKPOINTS = 3


class Interruption:
    """Notes signals and the clock while it is entered, and says whether training has to stop."""

    def __init__(self, runtime_minutes: float | None, *, started: float) -> None:
        """`started` is the `time.monotonic()` from which `runtime_minutes` count."""
        self._slowest_checkpoint = self._slowest_evaluation = 0.0
        self._started = started
        self._seconds = None if runtime_minutes is None else 60 * runtime_minutes
        self._signal: str | None = None
        self._previous = {}

    @property
    def reason(self) -> str | None:
        """Why to stop, to stand after "stopped by"; None to go on."""
        if self._signal:
            return self._signal
        if self._seconds is None:
            return None
        reserve = (
            min(MAX_RESERVE_SHARE * self._seconds, MAX_RESERVE_SECONDS)
            + RESERVED_CHECKPOINTS * self._slowest_checkpoint
        )
        reserve += self._slowest_evaluation  # no request is looked at while one runs
        if time.monotonic() - self._started + reserve < self._seconds:
            return None
        return f"its time limit of {self._seconds / 60:g} minutes"

    def note_checkpoint(self, seconds: float) -> None:
        """Take into account how long a checkpoint took."""
        self._slowest_checkpoint = max(self._slowest_checkpoint, seconds)

    def note_evaluation(self, seconds: float) -> None:
        """Take into account how long it took to measure what is held out."""
        self._slowest_evaluation = max(self._slowest_evaluation, seconds)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number).name

    def __enter__(self) -> Self:
        heard = [
            number
            for number in STOP_SIGNALS
            if number not in OF_TERMINAL or signal.getsignal(number) != signal.SIG_IGN
        ]
        self._previous = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
