"""Reading the windows of a corpus as tokens.

Shapes: B windows, T tokens of a window with <cls> (the same for all). Coordinates are 0-based.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, encode_windows
from dnalm.genome.windows import WindowIndex, WindowRule

OPEN_GENOMES = 256  # files held open at a time, well below the usual limit of 1,024


class WindowReader:
    """Reads windows of one split as tokens; `windows` is their number, `tokens` is T."""

    def __init__(
        self, manifest: Mapping[str, Any], genomes: Mapping[str, str | Path], split: str
    ) -> None:
        self.vocabulary = Vocabulary(manifest["k"], manifest["vocabulary"])
        self.tokens = int(manifest["tokens"])
        self._stores: list[GenomeBases] = []
        self._open: dict[int, None] = {}
        self._contigs: list[dict[str, Any]] = []
        for genome in manifest["genomes"]:
            wanted = [contig for contig in genome["contigs"] if contig["split"] == split]
            if wanted:
                store = GenomeBases.of(genomes[genome["name"]])
                offsets = _offsets(store, wanted)
                for contig, offset in zip(wanted, offsets, strict=True):
                    place = {"genome": genome["name"], "store": len(self._stores)}
                    self._contigs.append(contig | place | {"offset": offset})
                self._stores.append(store)
        self._index = WindowIndex(
            [contig["length"] for contig in self._contigs], WindowRule(**manifest["windows"])
        )
        self.windows = self._index.windows

    def read(self, windows: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return the tokens of windows, tokenised from `starts` bases on: uint16[B, T]."""
        # Where a token begins and what it is depends on no more than the k bases from there on,
        # so T - 1 tokens are settled by the first k (T - 1) bases, with N in them or without.
        codes = np.empty((len(windows), self.vocabulary.k * (self.tokens - 1)), dtype=np.uint8)
        contigs, firsts = self._index.locate(windows)
        for row, (contig, first) in enumerate(zip(contigs, firsts + starts, strict=True)):
            facts = self._contigs[contig]
            self._store(facts["store"]).read_into(codes[row], facts["offset"] + int(first))
        return encode_windows(codes, self.vocabulary, self.tokens)

    def place(self, window: int, start: int) -> dict[str, Any]:
        """Return genome, contig and absolute position of the first base tokenised."""
        contig, first = self._index.locate(window)
        facts = self._contigs[int(contig)]
        position = facts["start"] + int(first) + start
        return {"genome": facts["genome"], "contig": facts["contig"], "start": position}

    def _store(self, number: int) -> GenomeBases:
        if number not in self._open:
            if len(self._open) == OPEN_GENOMES:
                oldest = next(iter(self._open))
                del self._open[oldest]
                self._stores[oldest].close()
            self._open[number] = None
        return self._stores[number]

    def close(self) -> None:
        """Close the stores' files."""
        for store in self._stores:
            store.close()
        self._open.clear()


def _offsets(store: GenomeBases, contigs: Sequence[Mapping[str, Any]]) -> list[int]:
    table = store.contigs
    keys = zip(table["contig"], table["start"], table["length"], strict=True)
    known = dict(zip(keys, table["offset"], strict=True))
    for contig in contigs:
        if (contig["contig"], contig["start"], contig["length"]) not in known:
            raise InputError(
                f"{store.contigs_path}: contig {contig['contig']} is not as the corpus manifest "
                "describes it; build the corpus again from these genomes."
            )
    return [int(known[c["contig"], c["start"], c["length"]]) for c in contigs]
