"""What all benches share: timing two sides in turns, and the table and file of the outcome."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Benches are started by path, so the library has to be found by hand.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One case: what each side reached (more is better) and whether their results agreed.

    `limit` is the ratio ours / peer below which one should stop and think; it decides nothing.
    A `peer` of None was not to be had and did not run.
    """

    case: str
    ours: float
    peer: float | None
    unit: str
    correct: bool
    limit: float

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.ours / self.peer


@dataclass(frozen=True)
class Arguments:
    """The command line of a bench: the file for its outcome, and whether its sizes are tiny."""

    output: Path
    tiny: bool


def read_arguments(description: str) -> Arguments:
    """Return the command line of a bench."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="sizes of no meaning, to try the code")
    arguments = parser.parse_args()
    if arguments.tiny:
        sys.stdout.write("Tiny sizes: the numbers mean nothing.\n")
    return Arguments(arguments.output, arguments.tiny)


def time_in_turns(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Return the median processor seconds of both sides, which take turns after an untimed call."""
    sides = (ours, peer)
    seconds: tuple[list[float], list[float]] = ([], [])
    for side in sides:
        side()
    for _ in range(rounds):
        for side, values in zip(sides, seconds, strict=True):
            start = time.process_time()
            side()
            values.append(time.process_time() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def seconds_of(run: Callable[[], object]) -> float:
    """Return the processor seconds of a second call."""
    run()
    start = time.process_time()
    run()
    return time.process_time() - start


def report(rows: Sequence[Comparison], output: Path) -> int:
    """Print a table, write `output` as JSON, and return the exit code: 1 if any case disagreed."""
    cells = [("case", "ours", "peer", "unit", "ratio", "limit", "results")]
    for row in rows:
        agreed = "agree" if row.correct else "DIFFER"
        theirs, ratio = f"{row.peer or 0:,.4g}", f"{row.ratio or 0:.2f}"
        if row.peer is None:
            theirs, ratio, agreed = "-", "-", "not run"
        numbers = (f"{row.ours:,.4g}", theirs, row.unit, ratio, f"{row.limit:g}")
        cells.append((row.case, *numbers, agreed))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    keys = ("case", "ours", "peer", "unit", "ratio", "correct", "limit")
    facts = [asdict(row) | {"ratio": row.ratio} for row in rows]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps([{key: row[key] for key in keys} for row in facts], indent=2))
    return 0 if all(row.correct for row in rows) else 1
