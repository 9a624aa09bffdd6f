"""What one GPU makes of the library: its ceilings, training, embeddings, fine-tuning, probes.

    python3 tests/bench/gpu.py --output results/bench/gpu.json --minutes 8
    python3 tests/bench/gpu.py --output tiny.json --device cpu --tiny    # tries every line, no more

It needs this checkout and what a container of PyTorch has: torch 2.11 or later, numpy, pandas,
scikit-learn, safetensors, numba, tqdm, PyYAML; transformers for the peers, peft and pyarrow for
fine-tuning; no network, no installation. Parts, in the order in which they are done:

    ceilings     bf16 matrix products, attention and a copy alone; those of each model's own shapes
    steps        whole training steps: ours compiled and plain, EsmForMaskedLM compiled by layer
    trainer      scripts/pretrain.py for a minute on a simulated genome, MFU from its history
    embedding    float32, TF32 and bf16 beside EsmModel fed by length
    finetuning   IA3 of one fold and of ten together, beside peft
    probing      a layer's grid of MLP probes beside torch.nn.Sequential

Each row is in the file as soon as it is measured, and says whether both sides gave the same
results. A part that no longer fits into `--minutes` is left out and listed. Seconds are those of
the device's own clock.
"""

import argparse
import math
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from on_gpu.jobs import MODELS, PARTS, TINY_MODELS, plan
from on_gpu.results import Results, format_table, prepare
from on_gpu.supervisor import NoDeviceError, Supervisor

MINUTES = 8.0
RESERVE_SECONDS = 5.0  # to end the worker and print
MEANINGLESS = "These numbers mean nothing: {why}.\n"


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON, whole at any time")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="shapes of no meaning, to try the code")
    parser.add_argument(
        "--minutes", type=positive, default=MINUTES, help="in all, the start included"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="the kernels of one step per model as a table and a trace beside the output",
    )
    arguments = parser.parse_args()
    try:
        prepare(arguments.output)
    except OSError as error:
        parser.error(f"{arguments.output} cannot be written: {error.strerror}")
    return arguments


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def main() -> int:
    started = time.monotonic()
    arguments = read_arguments()
    # From here on a SIGTERM ends the run as the end of its time does: with all that is known.
    signal.signal(signal.SIGTERM, stop)
    results = Results(
        arguments.output,
        {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "arguments": sys.argv[1:],
            "meaningless": why_meaningless(arguments),
        },
    )
    jobs = plan(
        TINY_MODELS if arguments.tiny else arguments.models, arguments.parts, tiny=arguments.tiny
    )
    options = ["--tiny"] if arguments.tiny else []
    if arguments.profile:
        options += ["--profiles", str(arguments.output.with_suffix(""))]
    deadline = started + 60 * arguments.minutes - RESERVE_SECONDS
    supervisor = Supervisor(results, options, arguments.device, deadline)
    try:
        supervisor.work_off(jobs)
        results.note(finished=True)
    except NoDeviceError as error:
        sys.stdout.write(f"Nothing was measured: {error}.\n")
        results.note(fault=str(error))
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; what was measured is kept.\n")
    finally:
        supervisor.close()
    results.note(seconds=round(time.monotonic() - started, 1))
    show(results)
    return 0 if results.is_good and results.is_written and results.content["finished"] else 1


def stop(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt


def why_meaningless(arguments: argparse.Namespace) -> str | None:
    reasons = ["they are of a CPU"] if arguments.device == "cpu" else []
    reasons += ["the shapes are tiny"] if arguments.tiny else []
    return " and ".join(reasons) or None


def show(results: Results) -> None:
    """Print the device, the table and what was left out."""
    content = results.content
    machine = content.get("machine", {})
    versions = ", ".join(
        f"{name} {version}" for name, version in machine.get("versions", {}).items()
    )
    sys.stdout.write(f"{machine['device']}; {versions}\n" if machine else "Nothing was started.\n")
    if results.rows:
        sys.stdout.write(format_table(results.rows))
    for row in results.rows:
        if row["goal"] is not None and row["share_of_products"] is not None:
            met = "reached" if row["share_of_products"] >= row["goal"] else "missed"
            sys.stdout.write(
                f"{row['model']}, {row['side']}: {row['share_of_products']:.1%} of what its "
                f"matrix products reach alone; {row['goal']:.0%} is wished for: {met}\n"
            )
    for entry in content["left_out"]:
        word = "failed" if entry["failed"] else "left out"
        sys.stdout.write(f"{word}: {entry['job']}: {entry['why']}\n")
    if why := content["meaningless"]:
        sys.stdout.write(MEANINGLESS.format(why=why))
    where = (
        f"all of it is in {results.path}" if results.is_written else "the file has not all of it"
    )
    sys.stdout.write(f"{content['seconds']:.0f} s; {where}\n")


if __name__ == "__main__":
    sys.exit(main())
