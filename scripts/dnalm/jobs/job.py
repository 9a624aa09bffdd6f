"""Logging and error handling of a job: a log file, exit codes, and errors a person can read."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from dnalm.errors import InputError
from dnalm.jobs.credentials import hide_passwords
from dnalm.jobs.device_use import recorded_use
from dnalm.jobs.exhaustion import describe_exhaustion
from dnalm.jobs.progress import heartbeat

INTERRUPTED = "interrupted (Ctrl-C, SIGINT); start the same command again to go on."
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Formatter(logging.Formatter):
    """Writes no password of a URL, whoever logs it: ours, libraries, warnings and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_passwords(super().format(record))


class _LogFile(logging.FileHandler):
    """A log whose disk may fill up or go away: no work is lost for it, and it is said once."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            path = os.path.relpath(self.baseFilename)
            print(f"{path} ends here: {error.strerror}; the job goes on.", file=sys.stderr)

    def close(self) -> None:
        with suppress(OSError):  # of what could not be written
            super().close()


@contextmanager
def job(log_path: str | Path) -> Iterator[None]:
    """Log to `log_path`, a line a minute at least; exit with one sentence on a wrong input.

    An `InputError` is written to the log and to stderr without a traceback and ends the process
    with exit code 1, as does that on a full disk or memory. Any other exception is a bug: its
    traceback goes to both. A file beside the log says on how many GPUs the job has computed.
    """
    gc.freeze()  # modules live as long as the process: no collection has to look at them
    handler = _LogFile(log_path, mode="w")
    handler.setFormatter(_Formatter(LOG_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    try:
        with heartbeat(), recorded_use(log_path):
            yield
    except InputError as error:
        logging.error("%s", error)
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        logging.error(INTERRUPTED)
        sys.exit(f"Error: {INTERRUPTED}")
    except Exception as error:
        if sentence := describe_exhaustion(error):
            logging.error("%s", sentence)
            sys.exit(f"Error: {sentence}")
        logging.error("%s", traceback.format_exc())
        raise
    finally:
        # Nor has the last one, of the interpreter's end, which takes a third of a second after
        # an import of torch, at what was imported since.
        gc.freeze()


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
    except KeyboardInterrupt:
        print(f"Error: {INTERRUPTED}", file=sys.stderr)
        code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
