"""The command line of the trainer."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line's paths, and what the scheduler granted."""
    parser = argparse.ArgumentParser(description="Pre-train one encoder.")
    for name, help_text in (
        ("run", "run.json: all that decides the weights"),
        ("operation", "operation.json: how to carry it out"),
        ("corpus", "manifest.json of the corpus"),
        ("validation", "validation.npy of the corpus"),
        ("test", "test.npy of the corpus"),
        ("kmer-counts", "kmer_counts.npy of the corpus"),
        ("genomes-folder", "folder with one folder of bases per genome"),
        ("panels-folder", "folder with one folder of haplotypes per panel"),
        ("weights", "where the final weights go (safetensors)"),
        ("history", "where the final history goes (JSON lines)"),
        ("log", "log file"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH", help=help_text)
    for name, default, help_text in (
        ("nodes", 1, "nodes to train on, as many processes on each"),
        ("gpus-per-node", 0, "GPUs that were asked for on each node; 0: nobody asked"),
        ("runtime-minutes", 0, "minutes that the scheduler grants; 0: no limit"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=help_text)
    return parser.parse_args(arguments)
