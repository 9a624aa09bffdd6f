"""What came of an input: read, refused in a sentence, or a fault."""

import gc
import logging
import os
import re
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dnalm.errors import InputError
from fuzz.target import Target

READ, REFUSED, FAULT = "read", "refused", "fault"
SECONDS = 20  # of a processor, for one input; more is a hang
LONGEST = 800  # characters of a sentence without the folder: two names of 255 letters and why
OBJECT = re.compile(r"<[\w.]+ (object|function|module|class)?.*at 0x[0-9a-f]+>|<class '")


class HangError(BaseException):
    """An input takes too long; no handler of the library catches it."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of an input; `key` is the same for faults of one kind."""

    outcome: str
    fault: str = ""
    key: str = ""


class Judge:
    """Gives the inputs of one target to it, in a folder of its own."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._out = target, folder / "out"
        self.path = folder / f"input{target.suffix}"
        self._out.mkdir(exist_ok=True)
        logging.getLogger().handlers = [_Formatting()]
        logging.getLogger().setLevel(logging.INFO)

    def judge(self, data: bytes, *, valid: bool, compared: bool = True) -> Verdict:
        """Return what comes of an input; a `valid` one has to be read and, if compared, right."""
        self.path.write_bytes(data)
        before = _count_open()
        verdict = self._run(valid, compared)
        if verdict.outcome != FAULT and _count_open() > before:
            gc.collect()
            # Libraries open some files once and for all: it has to grow again with the same input.
            if (first := _count_open()) > before:
                self._run(valid, compared)
                gc.collect()
                if _count_open() > first:
                    return _fault("an open file is left behind", "descriptors")
        return verdict

    def _run(self, valid: bool, compared: bool) -> Verdict:
        try:
            with _limited():
                found = self._target.read(self.path, self._out)
                wrong = ""
                if (valid and compared) or self._target.always:
                    wrong = self._target.oracle(self.path, found)
            found = None
        except InputError as error:
            return self._refusal(str(error), valid)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._clear()
            return _fault(_describe(error), _place(error))
        self._clear()
        return (
            _fault(f"read otherwise: {wrong}"[:2000], "oracle") if wrong else Verdict(outcome=READ)
        )

    def _refusal(self, sentence: str, valid: bool) -> Verdict:
        left = sorted(os.listdir(self._out))
        self._clear()
        if valid:
            return _fault(f"a valid input is refused: {sentence}", "refused")
        if left:
            return _fault(f"{left} is left after the refusal: {sentence}", "left")
        named = self.path if self._target.one_file else None
        if why := find_fault_of_sentence(sentence, named):
            start = re.sub(r"[^a-z ]", "", sentence.replace(str(self.path), ""))[:20]
            return _fault(f"{why}: {sentence[:2000]!r}", f"{why.split('(')[0]} {start}")
        return Verdict(outcome=REFUSED)

    def _clear(self) -> None:
        for one in self._out.iterdir():
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()


def find_fault_of_sentence(text: str, path: Path | None) -> str:
    """Return what is wrong with the sentence of a refusal, "" where nothing is.

    It is to name the file at `path` where there is one.
    """
    short = text.replace(str(path.parent), "") if path else text
    checks = (
        (len(text.splitlines()) != 1, "it is not one line"),
        (not all(map(str.isprintable, text)), "it holds letters that cannot be printed"),
        (len(short) > LONGEST, f"it has more than {LONGEST} letters ({len(short)})"),
        (
            "Traceback" in text or OBJECT.search(text) is not None,
            "it shows the inside of a program",
        ),
        (path is not None and path.name not in text, "it does not name the file"),
        (not text.endswith((".", "?")), "it does not end as a sentence"),
    )
    return next((why for wrong, why in checks if wrong), "")


def _fault(what: str, key: str) -> Verdict:
    return Verdict(outcome=FAULT, fault=what, key=key)


def _describe(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-3000:]


def _place(error: BaseException) -> str:
    """Return the kind of an error and the line of the library that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/dnalm/" in frame.filename] or frames
    return f"{type(error).__name__} {Path(own[-1].filename).name}:{own[-1].lineno}"


def _count_open() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def _limited() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise HangError(f"it takes more than {SECONDS} seconds")

    # Of the processor, not of the clock: the machine may have a lot else to do.
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class _Formatting(logging.Handler):
    """Writes no message, but makes each one: a wrong one is a fault of the code that says it."""

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
