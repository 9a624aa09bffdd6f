"""Logging and error handling of a job: a log file, exit codes, and errors a person can read."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from dnalm.errors import InputError
from dnalm.jobs.progress import heartbeat


@contextmanager
def job(log_path: str | Path) -> Iterator[None]:
    """Log to `log_path`, a line a minute at least; exit with one sentence on a wrong input.

    An `InputError` is written to the log and to stderr without a traceback and ends the process
    with exit code 1. Any other exception is a bug: its traceback goes to both.
    """
    logging.basicConfig(
        filename=str(log_path),
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.captureWarnings(True)
    try:
        with heartbeat():
            yield
    except InputError as error:
        logging.error("%s", error)
        sys.exit(f"Error: {error}")
    except Exception:
        logging.error("%s", traceback.format_exc())
        raise


def leave(function: Callable[..., Any], *arguments: Any) -> NoReturn:
    """Call `function` and exit with its code through `os._exit`, without interpreter finalisation.

    For programs whose libraries keep threads that abort the process then. Messages and exit codes
    are those of an ordinary exit.
    """
    code: Any = 0
    try:
        function(*arguments)
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
