"""Learning-rate schedules: linear warm-up, then a decay."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dnalm.errors import InputError

# Share of the peak that is left, by the share of the steps after the warm-up that are done.
DECAYS_TO_ZERO: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}
DECAYS = ("inverse_sqrt", *DECAYS_TO_ZERO, "constant")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Linear from `initial` to `peak` within `warmup_steps`, then `decay`.

    `inverse_sqrt` is the decay of the paper, as far as its words decide it; `linear` and `cosine`
    fall to 0 with the last step, so that another number of steps is another run from its first
    step on; `constant` keeps the peak.
    """

    initial: float
    peak: float
    warmup_steps: int
    decay: Literal["inverse_sqrt", "linear", "cosine", "constant"]

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            allowed = ", ".join(map(repr, DECAYS[:-1]))
            raise InputError(
                f"pretrain.schedule.decay is {self.decay!r}; give {allowed} or {DECAYS[-1]!r}."
            )
        if self.warmup_steps < 1:
            raise InputError(
                f"pretrain.schedule.warmup_steps is {self.warmup_steps}; give 1 or more: the decay "
                "starts from this step."
            )


def learning_rate(step: int, config: ScheduleConfig, steps: int) -> float:
    """Return the learning rate of optimiser step `step` of `steps`, counted from 1.

    initial + (peak − initial)·t/w until t = w, the warm-up; then peak·√(w/t), or, with the share
    s = (t − w)/(steps − w), peak·(1 − s) or peak·(1 + cos πs)/2.
    """
    warmup = config.warmup_steps
    if step <= warmup:
        return config.initial + (config.peak - config.initial) * step / warmup
    if config.decay == "constant":
        return config.peak
    if config.decay == "inverse_sqrt":
        return config.peak * math.sqrt(warmup / step)
    return config.peak * DECAYS_TO_ZERO[config.decay]((step - warmup) / (steps - warmup))
