"""The command line of the trainer: the files of a run, and what the scheduler granted."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATHS = {
    "run": "run.json: all that decides the weights",
    "operation": "how to carry it out: operation.json, or its text",
    "corpus": "manifest.json of the corpus",
    "validation": "validation.npy of the corpus",
    "test": "test.npy of the corpus",
    "kmer_counts": "kmer_counts.npy of the corpus",
    "genomes_folder": "folder with one folder of bases per genome",
    "panels_folder": "folder with one folder of haplotypes per panel",
    "weights": "where the final weights go (safetensors)",
    "history": "where the final history goes (JSON lines)",
    "log": "log file",
}
CHECK_PATHS = {
    **{name: PATHS[name] for name in ("run", "operation")},
    "result": "where what was found goes (JSON)",
    "log": PATHS["log"],
}
TOKENS = "tokens of a window, with <cls>, of which a device has to hold one"
GRANTS = {
    "nodes": (1, "nodes to train on, as many processes on each"),
    "gpus_per_node": (0, "GPUs that were requested on each node; 0: none were"),
    "runtime_minutes": (0, "minutes that the scheduler grants; 0: no limit"),
}


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files and folders of one training run: settings, corpus, genomes, results and log."""

    run: Path
    operation: str | Path
    corpus: Path
    validation: Path
    test: Path
    kmer_counts: Path
    genomes_folder: Path
    panels_folder: Path
    weights: Path
    history: Path
    log: Path


@dataclass(frozen=True, kw_only=True)
class CheckFiles:
    """The files of a check of the cluster: settings of a run, what was found, and log."""

    run: Path
    operation: str | Path
    result: Path
    log: Path


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """What the scheduler granted to a training run; 0 GPUs or minutes where it said none.

    0 minutes is a machine without a scheduler, which has one node and the GPUs that it shows.
    """

    nodes: int
    gpus_per_node: int
    runtime_minutes: int


def parse(arguments: Sequence[str]) -> tuple[RunFiles, Allocation]:
    """Return the files of the run and the scheduler's allocation that a command line names.

    Nodes and GPUs count only together with a runtime, which whoever has a scheduler sets.
    """
    parser = argparse.ArgumentParser(description="Pre-train one encoder.")
    values = _parse(parser, PATHS, arguments)
    return RunFiles(**{name: values[name] for name in PATHS}), _allocation(values)


def parse_check(arguments: Sequence[str]) -> tuple[CheckFiles, int, Allocation]:
    """Return the files of a check of the cluster, tokens of a window, and the allocation."""
    parser = argparse.ArgumentParser(description="Check the nodes that are to train one encoder.")
    parser.add_argument("--tokens", type=int, required=True, metavar="N", help=TOKENS)
    values = _parse(parser, CHECK_PATHS, arguments)
    files = CheckFiles(**{name: values[name] for name in CHECK_PATHS})
    return files, values["tokens"], _allocation(values)


def _parse(
    parser: argparse.ArgumentParser, paths: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, Any]:
    for name, text in paths.items():
        kind = _text_or_path if name == "operation" else Path
        parser.add_argument(_flag(name), type=kind, required=True, metavar="PATH", help=text)
    for name, (default, text) in GRANTS.items():
        parser.add_argument(_flag(name), type=int, default=default, metavar="N", help=text)
    return vars(parser.parse_args(arguments))


def _text_or_path(argument: str) -> str | Path:
    return argument if argument.startswith("{") else Path(argument)


def _allocation(values: Mapping[str, Any]) -> Allocation:
    if not values["runtime_minutes"]:  # the configuration's numbers, which nobody was asked for
        return Allocation(nodes=1, gpus_per_node=0, runtime_minutes=0)
    return Allocation(**{name: values[name] for name in GRANTS})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
