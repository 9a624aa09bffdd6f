"""The process that measures: a job a line on standard input, its rows as lines of JSON.

    python -m on_gpu.worker --device cuda

Answers are {"row": …}, at last {"done": …} with the job's seconds, {"lacks": …}, a package that is
not installed, or {"failed": …}; the first of all is {"ready": …}, facts on the machine.
"""

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from on_gpu.results import Row, as_dict

OWN = ("dnalm", "on_gpu", "own_step", "esm_peer", "comparison")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--profiles", type=Path)
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")

    try:
        import torch

        from on_gpu.machine import Machine
    except ModuleNotFoundError as error:
        if not (absent := name_absent(error)):
            raise
        answer(fault=f"{absent} is not installed for {sys.executable}: install it there")
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        without = f"there is no CUDA device that torch {torch.__version__} can use"
        answer(fault=f"{without}: run the same command where there is one")
        return

    logging.getLogger("transformers").setLevel(logging.ERROR)
    machine = Machine(arguments.device, tiny=arguments.tiny)
    answer(ready=machine.describe())
    for line in sys.stdin:
        job = json.loads(line)
        begun = time.monotonic()
        try:
            machine.tidy()  # of what the job before left, if it failed
            for row in find_measure(job["part"], arguments.profiles)(machine, job["model"]):
                answer(row=as_dict(row))
            answer(done=time.monotonic() - begun, clocks=machine.clocks())
        except Exception as error:
            traceback.print_exc()
            if absent := name_absent(error):
                answer(lacks=absent)
            else:
                answer(failed=" ".join(f"{type(error).__name__}: {error}".split())[:1000])


def name_absent(error: Exception) -> str | None:
    """Return the package that is not installed where an error says so, None of our own modules."""
    absent = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0]
    return absent if absent and absent not in OWN else None


def find_measure(part: str, profiles: Path | None) -> Callable[..., Iterator[Row]]:
    """Return the function of a part, whose module is loaded when it is first asked for."""
    measure = import_module(f"on_gpu.{part}").measure
    return partial(measure, profiles=profiles) if part == "steps" else measure


if __name__ == "__main__":
    main()
