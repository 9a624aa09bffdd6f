"""The learning rate of each step."""

import math
from dataclasses import dataclass
from typing import Literal

from dnalm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Linear from `initial` to `peak` within `warmup_steps`, then `decay`.

    `inverse_sqrt` is the decay of the paper, as far as its words decide it;
    `constant` keeps the peak.
    """

    initial: float
    peak: float
    warmup_steps: int
    decay: Literal["inverse_sqrt", "constant"]

    def __post_init__(self) -> None:
        if self.decay not in ("inverse_sqrt", "constant"):
            raise InputError(
                f"pretrain.schedule.decay is {self.decay!r}; give 'inverse_sqrt' or 'constant'."
            )
        if self.warmup_steps < 1:
            raise InputError(
                f"pretrain.schedule.warmup_steps is {self.warmup_steps}; give 1 or more: the decay "
                "starts from this step."
            )


def learning_rate(step: int, config: ScheduleConfig) -> float:
    """Return the learning rate of update `step`, which counts from 1.

    initial + (peak − initial)·t/warmup until t = warmup, then peak·√(warmup/t).
    """
    if step <= config.warmup_steps:
        return config.initial + (config.peak - config.initial) * step / config.warmup_steps
    if config.decay == "constant":
        return config.peak
    return config.peak * math.sqrt(config.warmup_steps / step)
