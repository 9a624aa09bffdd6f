"""How fast training goes, and how much of the time it waits for data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from dnalm.jobs.progress import Progress


class TrainingProgress:
    """Counts steps against the clock, as a context that shows them (`dnalm.jobs.progress`)."""

    def __init__(self, *, steps: int, done: int, tokens_per_step: int, visible: bool) -> None:
        """Begin after `done` of `steps`; only a visible one draws or logs."""
        self._steps, self._step, self._tokens = steps, done, tokens_per_step
        self._loss = ""
        self._shown = Progress(
            "pretrain",
            "tokens",
            steps * tokens_per_step,
            done=done * tokens_per_step,
            visible=visible,
        )
        self._restart()

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._shown.__exit__(*failure)

    def _restart(self) -> None:
        self._since, self._since_at = time.monotonic(), self._step
        self._waited = self._paused = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of this block as waiting for data."""
        begun = time.monotonic()
        yield
        self._waited += time.monotonic() - begun

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of this block out of the speed."""
        begun = time.monotonic()
        yield
        self._paused += time.monotonic() - begun

    def advance(self) -> None:
        """Note that a step is done."""
        self._step += 1
        self._shown.note(f"step {self._step:,} of {self._steps:,}{self._loss}")
        self._shown.advance(self._tokens)

    def show(self, loss: float | None) -> None:
        """Say from now on that this is the loss."""
        if loss is not None:
            self._loss = f", loss {loss:.4f}"

    def take_speed(self) -> dict[str, float]:
        """Return tokens_per_second and data_wait_share since this was last called."""
        seconds = max(time.monotonic() - self._since - self._paused, 1e-9)
        tokens = (self._step - self._since_at) * self._tokens
        speed = {"tokens_per_second": tokens / seconds, "data_wait_share": self._waited / seconds}
        self._restart()
        return speed
