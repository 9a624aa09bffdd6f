"""Small genomes."""

from pathlib import Path

import numpy as np
import pytest

from dnalm.genome.bases import write_bases


def random_sequence(seed: int, length: int, n_share: float = 0.0) -> str:
    """Return A, C, G, T and, in runs, N."""
    random = np.random.default_rng(seed)
    letters = random.choice(list("ACGT"), length)
    while n_share and np.mean(letters == "N") < n_share:
        start = random.integers(0, length)
        letters[start : start + random.integers(1, 1 + max(1, length // 20))] = "N"
    return "".join(letters)


@pytest.fixture(scope="session")
def sequence():
    return random_sequence


@pytest.fixture
def store(tmp_path):
    """Return a function that stores {record: sequence} as a genome and returns its folder."""

    def make(name: str, records: dict[str, str], **config) -> Path:
        source, folder = tmp_path / f"{name}.fa", tmp_path / "genomes" / name
        source.write_text("".join(f">{record}\n{text}\n" for record, text in records.items()))
        write_bases(
            source,
            name=name,
            config=config,
            bases=folder / "bases.npy",
            contigs=folder / "contigs.tsv",
            manifest=folder / "manifest.json",
        )
        return folder

    return make
