"""How fast training goes: a bar on a terminal, a line a minute in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_SECONDS = 60

logger = logging.getLogger(__name__)


class Progress:
    """Counts steps against the clock."""

    def __init__(self, *, steps: int, done: int, tokens_per_step: int, visible: bool) -> None:
        """Begin after `done` of `steps`; only a visible one draws or logs."""
        self._steps, self._step, self._tokens = steps, done, tokens_per_step
        self._visible, self._loss = visible, ""
        self._bar = tqdm(
            total=steps * tokens_per_step,
            initial=done * tokens_per_step,
            unit="token",
            unit_scale=True,
            desc="pretrain",
            dynamic_ncols=True,
            disable=not (visible and sys.stderr.isatty()),
        )
        self._begun, self._begun_at = time.monotonic(), done
        self._next_line = self._begun + LINE_SECONDS
        self._restart()

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
        self._bar.update(self._tokens)
        now = time.monotonic()
        if self._visible and now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            rate = (self._step - self._begun_at) / (now - self._begun)
            left = (self._steps - self._step) / rate / 60
            logger.info(
                "Step %d of %d%s, %.0f tokens/s, %.0f minutes left.",
                *(self._step, self._steps, self._loss, rate * self._tokens, left),
            )

    def show(self, loss: float | None) -> None:
        """Say from now on that this is the loss."""
        if loss is not None:
            self._loss = f", loss {loss:.4f}"
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)

    def take_speed(self) -> dict[str, float]:
        """Return tokens_per_second and data_wait_share since this was last called."""
        seconds = max(time.monotonic() - self._since - self._paused, 1e-9)
        tokens = (self._step - self._since_at) * self._tokens
        speed = {"tokens_per_second": tokens / seconds, "data_wait_share": self._waited / seconds}
        self._restart()
        return speed

    def close(self) -> None:
        self._bar.close()
