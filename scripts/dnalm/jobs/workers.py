"""Calls in processes of their own, which end with the job that has started them."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import joblib
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

POLL_SECONDS = 1
IDLE_SECONDS = 30  # that a process for single calls waits for the next one
_watched: set[int] = set()
_single: list[ProcessPoolExecutor] = []  # the one for single calls, once there was one

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


def run_apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of one call in another process, which is kept for the next one.

    For libraries that end their process at data that are damaged. Raises ChildProcessError where
    this has happened.
    """
    if not _single:
        _single.append(ProcessPoolExecutor(max_workers=1, timeout=IDLE_SECONDS))
    try:
        return _single[0].submit(_call, os.getpid(), function, arguments, {}).result()
    except BrokenProcessPool:
        _single.pop().shutdown(wait=False)
        raise ChildProcessError("the process of the call has ended") from None


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
