"""A run in which every rule has a job and which nothing disturbs, and copies of it for faults."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
import loopback_hub
import planted
import pytest


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A copy of the workflow after its run, and what that made."""

    folder: Path
    servers: tuple[str, str]
    undisturbed: faults.Undisturbed


@pytest.fixture(scope="session")
def finished(make_workflow, tmp_path_factory) -> Iterator[Finished]:
    folder = make_workflow().folder
    planted.plant(folder / "planted")
    root = tmp_path_factory.mktemp("hub")
    with planted.serve(folder / "planted") as address, loopback_hub.serve(root) as hub:
        planted.plant_repository(folder / "planted", hub)
        servers = (address, hub.url)
        undisturbed = faults.run_undisturbed(folder, servers)
        yield Finished(folder=folder, servers=servers, undisturbed=undisturbed)


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
