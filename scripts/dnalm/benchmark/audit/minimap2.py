"""Alignment of sequences to genomes by minimap2 (Li 2018, doi 10.1093/bioinformatics/bty191).

The program on the PATH is taken, else the one inside the package `pyminimap2`, in a process of its
own. Genomes are handed over through a pipe as FASTA, so that no copy of them lies on a disk.
"""

import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dnalm.errors import InputError
from dnalm.jobs.exhaustion import DISK_FULL_WORDS

PROGRAM, PACKAGE = "minimap2", "pyminimap2"
# The package returns what the program wrote to its stderr, and not its exit code.
RUN_PACKAGE = "import sys, pyminimap2; sys.stderr.write(pyminimap2.main(sys.argv[1:])[1])"
# Earlier ones call it well when their output could not be written; before 2.16 they know no -o.
MIN_VERSION = (2, 18)
FINISHED = "Real time:"  # of the last line that the program writes when all went well
MISSING = (
    "minimap2 was not found, neither as a program nor as the Python package pyminimap2: install one"
    " of them, or set run.locate_tasks to false."
)
UNUSABLE = (
    "{fault}, and the Python package pyminimap2 is not installed: install it or a newer minimap2,"
    " or set run.locate_tasks to false."
)
ANSWER_SECONDS = 20  # for its version
# Up to 50 places beside the best one. They are chosen by the bases in shared minimizers, of which a
# place of identity 0.9 has a fifth of what an exact one has: 0.9 ** 15.
PLACES = ["-N", "50", "-p", "0.1"]
# A base at the end that does not agree is aligned nevertheless.
TO_THE_ENDS = "--end-bonus=20"
BATCH = ["-K", "50M"]  # bases of sequences in memory at a time

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """One line of minimap2's PAF; all coordinates are 0-based and half-open.

    `query_start` and `query_end` count on the query as given, `start` and `end` on the target's
    forward strand; `matches` of `columns` columns of the alignment agree, columns with an N apart.
    """

    query: str
    query_length: int
    query_start: int
    query_end: int
    strand: str
    target: str
    start: int
    end: int
    matches: int
    columns: int


def find_minimap2() -> list[str] | None:
    """Return the command that runs minimap2, None where there is none that can be used."""
    program = shutil.which(PROGRAM)
    if program and _find_fault(program) is None:
        return [program]
    if importlib.util.find_spec(PACKAGE):
        return [sys.executable, "-c", RUN_PACKAGE]
    return None


def explain_missing() -> str:
    """Return the sentence on why `find_minimap2` has found none."""
    program = shutil.which(PROGRAM)
    fault = _find_fault(program) if program else None
    return UNUSABLE.format(fault=fault) if fault else MISSING


def _find_fault(program: str) -> str | None:
    """Return what is wrong with a program, as a sentence without its end; None for a good one."""
    command = [program, "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=ANSWER_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer"
        return f"{program} cannot be run ({reason})"
    words = done.stdout.decode(errors="replace").split()
    version = re.match(r"(\d+)\.(\d+)", words[-1] if words else "", re.ASCII)
    if not version:
        return f"{program} --version says no version"
    if tuple(int(number) for number in version.groups()) < MIN_VERSION:
        return f"{program} is {words[-1]}, older than {'.'.join(map(str, MIN_VERSION))}"
    return None


def align(
    queries: Path,
    targets: Iterable[bytes],
    *,
    options: Sequence[str],
    index_bases: int,
    threads: int,
) -> Iterator[Alignment]:
    """Yield the alignments of a FASTA file's sequences to the FASTA text of `targets`.

    Targets are indexed `index_bases` bases at a time (whole records, at least one), so memory does
    not grow with all of them; `options` are minimap2's, about k-mers and scores. The order is that
    of the parts of the index and, within one, of the queries. Raises InputError where minimap2 is
    missing or fails.
    """
    command = find_minimap2()
    if command is None:
        raise InputError(explain_missing())
    program = shutil.which(PROGRAM)
    if program and command != [program]:
        log.warning("%s; the package %s is used instead", _find_fault(program), PACKAGE)
    reading, writing = os.pipe()
    size, workers = f"{index_bases}", f"{threads}"
    arguments = ["-c", *options, *PLACES, TO_THE_ENDS, *BATCH, "-I", size, "-t", workers]
    try:
        process = subprocess.Popen(
            [*command, *arguments, "-o", f"/dev/fd/{writing}", "-", str(queries)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(writing,),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    said, failures, foreign = [], [], []
    feeding = threading.Thread(target=_feed, args=(process.stdin, targets, failures), daemon=True)
    listening = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
    with open(reading, errors="replace") as lines, process:
        feeding.start()
        listening.start()
        try:
            for line in lines:
                if (alignment := _parse(line)) is None:
                    foreign.append(line)  # the last one of a program that was ended is torn
                else:
                    yield alignment
        except BaseException:
            process.kill()  # its output is read no more: it would wait for ever
            raise
        finally:
            feeding.join()
            listening.join()
    if failures:
        raise failures[0]
    _check(process.returncode, b"".join(said).decode(errors="replace"))
    if foreign:
        raise InputError(
            f"minimap2 ({command[0]}) wrote {len(foreign)} lines that are no PAF, the first "
            f"{foreign[0].rstrip()[:100]!r}; install another one and run again."
        )


def _feed(pipe: IO[bytes], blocks: Iterable[bytes], failures: list[Exception]) -> None:
    """Write blocks into the program; what goes wrong while they are made is kept in `failures`.

    A program that has ended reads no more: why it has, it says itself.
    """
    try:
        for block in blocks:
            pipe.write(block)
    except BrokenPipeError:
        pass
    except Exception as error:  # told to the thread that reads the alignments
        failures.append(error)
    finally:
        with suppress(BrokenPipeError):
            pipe.close()


def _listen(pipe: IO[bytes], said: list[bytes]) -> None:
    for line in pipe:
        said.append(line)


def _parse(line: str) -> Alignment | None:
    """Return one line of PAF, whose first eleven columns are fixed; None where it is none."""
    try:
        query, length, start, end, strand, target, _, first, last, matches, columns, _ = line.split(
            "\t", 11
        )
        return Alignment(
            query=query,
            query_length=int(length),
            query_start=int(start),
            query_end=int(end),
            strand=strand,
            target=target,
            start=int(first),
            end=int(last),
            matches=int(matches),
            columns=int(columns),
        )
    except ValueError:
        return None


def _check(code: int, said: str) -> None:
    """Raise InputError where minimap2 did not come to its end."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if code == 0 and any(FINISHED in line for line in lines):
        return
    if DISK_FULL_WORDS.search(said):
        raise InputError("minimap2 found no room on the disk; make some and run again.")
    reason = lines[-1] if lines else "it said nothing"
    how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    if -code == signal.SIGKILL:
        how += ", for want of memory most likely: lower exposure.index_bases"
    raise InputError(f"minimap2 {how} ({reason[:300]}); run again after mending that.")
