"""The learning rate of each step of a fine-tuning."""

import math
from collections.abc import Callable

# What is left of the rate after a share, 0 to 1, of the steps behind the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * share)),
}


def rate_at(step: int, steps: int, *, peak: float, warmup_steps: int, schedule: str) -> float:
    """Return the learning rate of `step`, counted from 1: a linear rise to `peak`, then a schedule.

    At the last step linear and cosine are 0, as in pretraining.
    """
    if step <= warmup_steps:
        return peak * (step / warmup_steps)
    return peak * SCHEDULES[schedule]((step - warmup_steps) / max(1, steps - warmup_steps))
