"""A run in which every rule has a job and which nothing disturbs, and copies of it for faults."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
import planted
import pytest


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A copy of the workflow after its run, and what that made."""

    folder: Path
    address: str
    undisturbed: faults.Undisturbed


@pytest.fixture(scope="session")
def finished(make_workflow) -> Iterator[Finished]:
    folder = make_workflow().folder
    planted.plant(folder / "planted")
    with planted.serve(folder / "planted") as server:
        address = f"{server}/fetched.fa.gz"
        undisturbed = faults.run_undisturbed(folder, address)
        yield Finished(folder=folder, address=address, undisturbed=undisturbed)


@pytest.fixture
def unfinished(finished, tmp_path) -> Path:
    """Return a copy of that workflow without what it made but for compiled code."""
    made = ("results", "logs", "benchmarks", ".snakemake", "noted", "head.log")
    folder = tmp_path / "workflow"
    shutil.copytree(
        finished.folder,
        folder,
        ignore=lambda where, _: made if Path(where) == finished.folder else (),
    )
    return folder
