"""The pace of a job, measured on its first pieces before all are done."""

import time
from collections.abc import Callable

# Of what is measured: in less, whatever else the machine does at that moment counts as work.
MIN_SECONDS = 0.5
GROWTH = 4


def measure_pace(
    work: Callable[[int], float],
    first: int,
    most: int,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Return the seconds of a unit of `work`, which does so many pieces and returns their units.

    A single piece comes before, which also loads libraries and kernels. `first` pieces are timed,
    then four times as many, until they take `MIN_SECONDS` or are `most`: the last time counts. 0
    where these have no units.
    """
    work(1)
    size = max(1, min(first, most))
    while True:
        began = clock()
        units = work(size)
        took = clock() - began
        if took >= MIN_SECONDS or size >= most:
            return took / units if units else 0.0
        size = min(most, GROWTH * size)
