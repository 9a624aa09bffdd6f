"""How soon training starts on a corpus of 29 million windows, and in how much memory.

The corpus is the size of the 850 genomes of the paper, ten of them in 100,000 contigs each. Their
bases are sparse files, which take no disk and read as A. A process of its own does what a training
process does before its first step: it reads the manifest, opens the stores, and makes a batch.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from comparison import Comparison

from dnalm.corpus.build import CorpusConfig, describe_corpus
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.files import read_json, write_json
from dnalm.genome.bases import BASES, COLUMNS, CONTIGS, MANIFEST
from dnalm.genome.kmers import Vocabulary

GENOMES, SCATTERED = 850, 10
CONTIGS_SCATTERED, CONTIGS_WHOLE = 100_000, 100
WINDOWS = 29_000_000
RULE = {"length": 6100, "stride": 6050, "start_max": 100}
TOKENS, BATCH = 1000, 16
TINY = {"GENOMES": 6, "SCATTERED": 2, "CONTIGS_SCATTERED": 100, "WINDOWS": 10_000}
SECONDS, GIGABYTES = 10.0, 2.0


def measure_start(folder: Path, *, tiny: bool) -> list[Comparison]:
    """Return how often one could start per second and per gigabyte, beside what is wished for."""
    if tiny:
        globals().update(TINY)
    manifest = write_corpus(folder)
    command = [sys.executable, __file__, str(folder)]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    correct = facts["windows"] == manifest["splits"]["train"]["windows"] and facts["all_a"]
    phases = ", ".join(f"{name} {value:.1f} s" for name, value in facts["seconds"].items())
    millions = facts["windows"] / 1e6
    sys.stderr.write(f"start on {millions:.1f} million windows: {phases}; {facts['gb']:.2f} GB\n")
    case, total = f"start on {millions:.0f} million windows", sum(facts["seconds"].values())
    return [
        Comparison(
            case=f"{case}, {SECONDS:g} s wished for",
            ours=1 / total,
            peer=1 / SECONDS,
            unit="starts per CPU second",
            correct=correct,
            limit=1.0,
        ),
        Comparison(
            case=f"{case}, {GIGABYTES:g} GB wished for",
            ours=1 / facts["gb"],
            peer=1 / GIGABYTES,
            unit="starts per GB",
            correct=correct,
            limit=1.0,
        ),
    ]


def write_corpus(folder: Path) -> dict:
    """Write stores and manifest.json below `folder`; return the manifest."""
    random = np.random.default_rng(0)
    whole = (WINDOWS - SCATTERED * CONTIGS_SCATTERED) / (GENOMES - SCATTERED) / CONTIGS_WHOLE
    stores = {}
    for number in range(GENOMES):
        scattered = number < SCATTERED
        contigs = CONTIGS_SCATTERED if scattered else CONTIGS_WHOLE
        # Contigs of one window each, or of as many as make up the rest.
        mean = RULE["length"] + RULE["stride"] * (0 if scattered else whole - 1)
        spread = 0.0 if scattered else 0.5
        lengths = (mean * random.uniform(1 - spread, 1 + spread, contigs)).astype(np.int64)
        lengths += random.integers(0, RULE["stride"] // 2, contigs)
        stores[f"g{number}"] = folder / f"g{number}"
        write_store(stores[f"g{number}"], lengths)
    config = CorpusConfig(
        genomes=list(stores),
        windows=RULE,
        split={"by": "genome", "validation": 1, "test": 1},
        k=6,
        vocabulary="v1",
        max_tokens=TOKENS,
        min_kmers=100,
        evaluation_windows=1,
        haplotypes=None,
    )
    manifest = describe_corpus(config, stores, name="large")
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_store(folder: Path, lengths: np.ndarray) -> None:
    folder.mkdir(parents=True)
    names = [f"NW_{number:09d}.1" for number in range(len(lengths))]
    offsets = np.cumsum(lengths) - lengths
    table = pd.DataFrame(dict(zip(COLUMNS, (names, 0, lengths, offsets), strict=True)))
    table.to_csv(folder / CONTIGS, sep="\t", index=False)
    bases = int(lengths.sum())
    header = {"descr": "|u1", "fortran_order": False, "shape": (bases,)}
    with open(folder / BASES, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + bases)
    facts = {"name": folder.name, "accession": None, "sha256": "0" * 64}
    write_json(folder / MANIFEST, {**facts, "bases": bases, "n": 0, "simulated": True})


def start(folder: Path) -> dict:
    """Return seconds of each phase, peak memory in GB, and what was drawn."""
    seconds, before = {}, time.process_time()

    def lap(name: str) -> None:
        nonlocal before
        now = time.process_time()
        seconds[name], before = now - before, now

    manifest = read_json(folder / MANIFEST)
    lap("manifest")
    stores = {genome["name"]: folder / genome["name"] for genome in manifest["genomes"]}
    windows = TrainingWindows(manifest, stores, 0)
    lap("stores")
    tokens = windows.draw(np.arange(BATCH))
    lap("first batch")
    first_kmer = Vocabulary(manifest["k"], manifest["vocabulary"]).kmer_offset  # AAAAAA
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "seconds": seconds,
        "gb": int(peak) * 1024 / 1e9,
        "windows": windows.windows,
        "all_a": bool((tokens[:, 1:] == first_kmer).all()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start(Path(sys.argv[1]))))
