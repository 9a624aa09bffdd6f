"""Just-in-time compilation of loops over bases by numba, cached for the next process."""

from collections.abc import Callable

from numba import njit


def compiled(function: Callable) -> Callable:
    """Return `function` compiled in nopython mode, to run without the global interpreter lock.

    The machine code is cached beside the source or in the user's cache; where neither can be
    written, as in some containers, each process compiles it anew (a second or two).
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no place for its cache
        return njit(nogil=True)(function)
