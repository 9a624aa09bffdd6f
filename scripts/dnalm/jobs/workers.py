"""Calls in processes of their own, which end with the job that has started them."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import joblib

POLL_SECONDS = 1
_watched: set[int] = set()

# A function, its positional and its named arguments, as `joblib.delayed` returns them.
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def run_in_workers(
    calls: Iterable[Call], processes: int, *, as_they_end: bool = False
) -> Iterable[Any]:
    """Return the results of calls by so many processes, in their order or as they end.

    One process is this one. Others are interpreters that never import the calling script again, to
    which large arrays are handed over as memory maps. Where this process is killed they end: they
    look each second. joblib by itself leaves them for five minutes, with what they hold of a
    device, and lets each finish its call.
    """
    order = "generator_unordered" if as_they_end else "list"
    parallel = joblib.Parallel(n_jobs=processes, backend="loky", return_as=order)
    return parallel(joblib.delayed(_call)(os.getpid(), *call) for call in calls)


def end_with(job: int) -> None:
    """End this process soon after `job`, which has started it, whatever it waits for then."""
    if job == os.getpid() or job in _watched:
        return
    _watched.add(job)

    def watch() -> None:
        while os.getppid() == job:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(job: int, function: Callable[..., Any], arguments: tuple, options: dict) -> Any:
    end_with(job)
    return function(*arguments, **options)
