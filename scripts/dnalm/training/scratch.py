"""Copies of genomes on a disk of this machine, for file systems that are slow at random reads."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dnalm.files import atomic_path, read_json
from dnalm.training.distributed import Group


def copy_genomes(genomes: Mapping[str, Path], scratch: str | Path, group: Group) -> dict[str, Path]:
    """Return the folders of copies of `genomes` ({name: folder}) under `scratch`.

    A copy is named by the checksum of what it was made from, so runs and models share it. One
    process per machine copies while the others wait.
    """
    copies = {}
    for name, folder in genomes.items():
        copies[name] = Path(scratch) / read_json(folder / "manifest.json")["sha256"]
        if group.local_rank == 0 and not copies[name].exists():
            # Several jobs may copy at once: each under its own name, the last one replaces nothing.
            with atomic_path(copies[name]) as temporary:
                shutil.copytree(folder, temporary)
    group.sum_numbers(0)
    return copies
