"""What every script does around its work: a log file, and errors a person can read."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnalm.errors import InputError


@contextmanager
def job(log_path: str | Path) -> Iterator[None]:
    """Send logging to `log_path`; end with one sentence when the input is at fault.

    An `InputError` is written to the log and to stderr without a traceback and ends the process
    with exit code 1. Any other exception is a defect of ours: its traceback goes to both.
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
        yield
    except InputError as error:
        logging.error("%s", error)
        sys.exit(f"Error: {error}")
    except Exception:
        logging.error("%s", traceback.format_exc())
        raise
