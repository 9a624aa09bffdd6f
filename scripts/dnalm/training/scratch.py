"""Node-local copies of genomes, for file systems that are slow at random reads."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.files import atomic_path, hash_facts, read_json, sha256_of
from dnalm.genome.bases import BASES, CONTIGS
from dnalm.parallel.distributed import Group

DIGITS = 16


def copy_genomes(genomes: Mapping[str, Path], scratch: str | Path, group: Group) -> dict[str, Path]:
    """Return the folders of copies of `genomes` ({name: folder}) under `scratch`.

    A copy is named by the checksums of what it was made from and of the contigs that were kept, and
    by when the bases were stored, so runs and models share it. One process per machine copies
    while the others wait.
    """
    copies = {}
    for name, folder in genomes.items():
        source = read_json(folder / "manifest.json")["sha256"]
        contigs, stored = sha256_of(folder / CONTIGS), (folder / BASES).stat().st_mtime_ns
        copies[name] = Path(scratch) / f"{source}-{contigs[:DIGITS]}-{stored:x}"
        if group.local_rank == 0 and not copies[name].exists():
            _copy(folder, copies[name])
    group.sum_numbers(0)
    return copies


def copy_panel(
    panel: Path, haplotypes: Mapping[str, Any], scratch: str | Path, group: Group
) -> Path:
    """Return a folder under `scratch` with copies of a panel's haplotype stores.

    `haplotypes` is that section of the corpus manifest; it names the contigs and what is in them.
    """
    digests = {contig: facts["digest"] for contig, facts in haplotypes["contigs"].items()}
    copy = Path(scratch) / f"haplotypes-{hash_facts(digests, DIGITS)}"
    if group.local_rank == 0 and not copy.exists():
        _copy(panel, copy)
    group.sum_numbers(0)
    return copy


def _copy(folder: Path, destination: Path) -> None:
    try:
        with atomic_path(destination) as temporary:
            shutil.copytree(folder, temporary)
    except OSError:
        # A folder takes no other's place: another job was the first to finish the same copy.
        if not destination.exists():
            raise
