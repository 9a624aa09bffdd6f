"""Processor time: of a function that is called until it has taken long enough."""

import os
from collections.abc import Callable

MAX_CALLS = 1000


def processor_seconds() -> float:
    """Return the seconds that this process, and those it has waited for, have computed so far.

    Not the time that passes: other work on the machine hardly matters.
    """
    return sum(os.times()[:4])


def measure_rate(run: Callable[[], float], seconds: float) -> float:
    """Return units per processor second of `run`, which returns how many it did.

    The first call also loads libraries and kernels; it counts only where it alone takes longer than
    `seconds`, which is how long the others take together.
    """
    began = processor_seconds()
    done = run()
    took = processor_seconds() - began
    if took > seconds:
        return done / took
    done = 0.0
    began = processor_seconds()
    for _ in range(MAX_CALLS):
        done += run()
        # Clocks of processes tick a hundred times a second.
        if (took := processor_seconds() - began) >= max(seconds, 0.05):
            break
    return done / max(took, 0.01)
