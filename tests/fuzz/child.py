"""The process that gives inputs to one target, so that no crash or leak ends the campaign."""

import mmap
import os
import random
import resource
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fuzz.case import Case
from fuzz.mutations import splice
from fuzz.shrink import shrink, shrink_generated
from fuzz.target import Target
from fuzz.verdict import FAULT, READ, Judge, Verdict

MEMORY = 3 << 30  # bytes beyond those that the process has when it begins
SHARE_GENERATED, SHARE_SPLICED = 0.3, 0.1
LARGEST_SIZE = 12
SHRINK_SECONDS = 20
MOST_KINDS = 12  # of faults; a target with more is given up
FIELDS = ("inputs", "read", "refused", "faults", "number", "valid", "shrinking")
# Numbers of inputs that are not made: those that once failed, and the seeds of a target.
KEPT, SEED = -2, -1
LAYOUT = struct.Struct(f"<{len(FIELDS)}qd")


class Board:
    """Counts that a process and its parent share, and when the newest input began."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LAYOUT.size)
        self.counts = dict.fromkeys(FIELDS, 0)

    def tell(self) -> None:
        """Show the counts to the other process."""
        LAYOUT.pack_into(self._memory, 0, *self.counts.values(), time.monotonic())

    def look(self) -> float:
        """Take over what was shown, and return when that was."""
        *counts, then = LAYOUT.unpack_from(self._memory, 0)
        self.counts = dict(zip(FIELDS, counts, strict=True))
        return then


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long inputs are made: `seconds` and at least `least` inputs, never more than `most`.

    Of slow targets, for which that takes five times as long, fewer.
    """

    seconds: float
    least: int
    most: int

    def reached(self, inputs: int, seconds: float) -> bool:
        """Return whether so many inputs in so many seconds are enough."""
        enough = seconds >= self.seconds and inputs >= self.least
        return enough or inputs >= self.most or seconds >= 5 * self.seconds


def fuzz(
    target: Target,
    kept: Sequence[Case],
    seed: int,
    first: int,
    limits: Limits,
    board: Board,
    folder: Path,
    faults: Path,
) -> None:
    """Give the kept inputs, the seeds and then made ones from number `first` on to a target.

    The smallest input of each kind of fault is written to `faults`.
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    judge, known, begun = Judge(target, folder), set(), time.monotonic()
    for case in _cases(target, kept, seed, first):
        inputs = board.counts["inputs"]
        if case.number >= 0 and limits.reached(inputs, time.monotonic() - begun):
            break
        board.counts |= {"number": case.number, "valid": int(case.valid)}
        board.tell()
        verdict = judge.judge(case.data, valid=case.valid, compared=case.number != SEED)
        board.counts["inputs"] += 1
        board.counts[{READ: "read", FAULT: "faults"}.get(verdict.outcome, "refused")] += 1
        if verdict.outcome == FAULT and verdict.key not in known:
            known.add(verdict.key)
            board.counts["shrinking"] = 1
            board.tell()
            _smallest(target, case, verdict, judge).write(faults)
            board.counts["shrinking"] = 0
            if len(known) >= MOST_KINDS:
                break
    board.tell()


def _cases(target: Target, kept: Sequence[Case], seed: int, first: int) -> Iterator[Case]:
    if not first:
        for case in kept:
            yield replace(case, number=KEPT)
        for data in target.seeds:
            yield Case(target=target.name, data=data, valid=True, seed=seed, number=SEED)
    number = first
    while True:
        yield make_case(target, seed, number)
        number += 1


def make_case(target: Target, seed: int, number: int) -> Case:
    """Return the input of a number, the same whenever it is asked for."""
    chance = random.Random(f"{seed} {target.name} {number}")
    made = target.generate is not None and (
        chance.random() < 2 * SHARE_GENERATED or not target.seeds
    )
    if made:
        data = target.generate(chance, chance.randint(1, LARGEST_SIZE))
    else:
        data = chance.choice(target.seeds)
    valid = made and chance.random() < 0.5
    if not valid:
        if target.spliced and len(target.seeds) > 1 and chance.random() < SHARE_SPLICED:
            data = splice(data, chance.choice(target.seeds), chance)
        data = chance.choice(target.mutate)(data, chance)
    return Case(target=target.name, data=data, valid=valid, seed=seed, number=number)


def _smallest(target: Target, case: Case, verdict: Verdict, judge: Judge) -> Case:
    """Return the smallest input found with the same fault, which is written into it."""
    last = verdict

    def fails(data: bytes) -> bool:
        nonlocal last
        found = judge.judge(data, valid=case.valid, compared=case.number != SEED)
        same = found.outcome == FAULT and found.key == verdict.key
        last = found if same else last
        return same

    if case.valid and target.generate is not None:
        data = shrink_generated(target.generate, case.data, fails, SHRINK_SECONDS)
    elif case.valid:
        data = case.data
    else:
        data = shrink(case.data, fails, SHRINK_SECONDS)
    return replace(case, data=data, fault=last.fault)
