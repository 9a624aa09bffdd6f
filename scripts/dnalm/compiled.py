"""Loops over bases that numpy has no words for, compiled once and kept for the next process."""

from collections.abc import Callable

from numba import njit


def compiled(function: Callable) -> Callable:
    """Return `function` as machine code that runs without the interpreter's lock.

    The code is kept beside the source or in the user's cache; where neither can be written, as in
    some containers, it is made anew by each process (a second or two).
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no place for its cache
        return njit(nogil=True)(function)
