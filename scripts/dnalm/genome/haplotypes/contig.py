"""Windows of individual haplotypes of one contig, drawn from a panel.

Shapes: B windows, n bases.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.reading import HaplotypeStore

CONTIGS = "contigs"


def find_panel(manifest: Mapping[str, Any], panels: str | Path) -> Path | None:
    """Return the folder of the haplotype stores of a corpus, None for one without haplotypes.

    `panels` is the folder of all panels.
    """
    haplotypes = manifest.get("haplotypes")
    return Path(panels) / haplotypes["panel"] / CONTIGS if haplotypes else None


class HaplotypeContig:
    """Reads windows of drawn haplotypes of one contig.

    The reference is memory-mapped: one genome and its stores, which every window needs, stay in
    the page cache that all processes of a machine share.
    """

    def __init__(
        self,
        folder: str | Path,
        genome: GenomeBases,
        contig: Mapping[str, Any],
        haplotypes: Mapping[str, Any],
    ) -> None:
        """Open the store in `folder` for a contig (start, length, offset) of a stored genome.

        `haplotypes` is that part of a corpus manifest. Raises InputError when the store is another
        one than the corpus was described with.
        """
        self._store = HaplotypeStore(folder)
        self._draw = haplotypes["draw"]
        self._first = int(contig["start"])
        if self._store.manifest["digest"] != haplotypes["contigs"][contig["contig"]]["digest"]:
            raise InputError(
                f"{folder}: these haplotypes are not the ones that the corpus was built with; "
                "build the corpus again."
            )
        mapped = np.load(genome.bases_path, mmap_mode="r")
        # A plain view of the mapped memory, as compiled code reads it.
        codes = np.frombuffer(mapped, dtype=np.uint8)
        self._reference = codes[contig["offset"] : contig["offset"] + contig["length"]]

    def read(
        self, starts: NDArray[np.int64], draws: NDArray[np.float64], length: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return what `HaplotypeStore.read` does, starts counted from the first stored base."""
        places = self._first + starts
        chosen = self._store.settle(self._store.choose(draws, self._draw), places)
        return self._store.read(self._reference, self._first, chosen, places, length)

    def name(self, draw: NDArray[np.float64], position: int) -> dict[str, Any]:
        """Return the sample and the haplotype, 1 or 2, that a draw float64[2] chooses.

        `position` is where the window starts on the contig.
        """
        chosen = self._store.choose(draw[None, :], self._draw)
        sample, side = divmod(int(self._store.settle(chosen, np.array([position]))[0]), 2)
        return {"sample": self._store.samples[sample], "haplotype": side + 1}
