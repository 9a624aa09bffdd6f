"""Run a campaign over all targets or some, or one kept input again."""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from fuzz.campaign import HEADER, line_of, run
from fuzz.case import Case
from fuzz.child import SEED
from fuzz.targets import load_targets
from fuzz.verdict import FAULT, Judge

KEPT = Path(__file__).parent / "seeds"


def main() -> int:
    """Return 0 where every input was read right or refused in a sentence, else 1."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--least", type=int, required=True, help="inputs of each target")
    parser.add_argument("--most", type=int, default=10**9, help="inputs of each target")
    parser.add_argument("--target", default="", help="names, with commas between; empty: all")
    parser.add_argument("--faults", type=Path, required=True, help="folder of what fails")
    parser.add_argument("--replay", type=Path, help="a file of that folder")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if given.replay:
        return replay(given.replay)
    begun, kept = time.monotonic(), [Case.read(path) for path in sorted(KEPT.glob("*.case"))]
    with tempfile.TemporaryDirectory(prefix="dnalm-fuzz-") as folder:
        targets = load_targets(given.target.split(",") if given.target else None, Path(folder))
        tallies = run(
            targets,
            seed=given.seed,
            seconds=60 * given.minutes,
            least=given.least,
            most=given.most,
            kept=kept,
            faults=given.faults,
        )
    print(HEADER)
    for tally in tallies:
        print(line_of(tally))
    inputs, faults = sum(t.inputs for t in tallies), sum(t.faults for t in tallies)
    seconds = time.monotonic() - begun
    print(f"{inputs:,} inputs in {seconds:,.0f} seconds, {faults:,} faults (seed {given.seed})")
    if not faults:
        return 0
    found = sorted(given.faults.glob("*.case"), key=lambda path: path.stat().st_size)
    print(
        f"{faults} inputs were neither read right nor refused in one sentence; the smallest is kept"
        f" in {found[0]}: repeat it with `make fuzz REPLAY={found[0]}`.",
        file=sys.stderr,
    )
    return 1


def replay(path: Path) -> int:
    """Return 0 where a kept input is no fault any more; say what came of it."""
    case = Case.read(path)
    with tempfile.TemporaryDirectory(prefix="dnalm-fuzz-") as folder:
        (target,) = load_targets([case.target], Path(folder))
        verdict = Judge(target, Path(folder)).judge(
            case.data, valid=case.valid, compared=case.number != SEED
        )
    print(f"{case.target}: {verdict.outcome} {verdict.fault}")
    return int(verdict.outcome == FAULT)


if __name__ == "__main__":
    sys.exit(main())
