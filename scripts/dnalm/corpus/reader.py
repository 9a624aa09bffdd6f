"""Reader of the windows of a corpus as tokens, from the reference or haplotypes of a panel.

Shapes: B windows, T tokens of a window with <cls> (the same for all). Coordinates are 0-based.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.corpus.windows import WindowIndex, WindowRule, tokens_per_window
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.contig import HaplotypeContig
from dnalm.genome.kmers import Vocabulary, encode, encode_windows
from dnalm.jobs.fields import build

MAX_OPEN_GENOMES = 256  # well below the usual limit of 1,024 open files


class WindowReader:
    """Reads windows of one split as tokens; `windows` is their number, `tokens` is T.

    `panel` is the folder of the haplotype stores where the corpus has haplotypes; contigs without
    a store are read from the reference.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        genomes: Mapping[str, str | Path],
        split: str,
        panel: str | Path | None = None,
    ) -> None:
        try:
            self._open_corpus(manifest, genomes, split, panel)
        except (LookupError, TypeError, AttributeError, OverflowError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            name = manifest.get("name") if isinstance(manifest, Mapping) else None
            raise InputError(
                f"The manifest of the corpus {name!s:.60} is damaged ({type(error).__name__}: "
                f"{error!s:.60}); build the corpus again."
            ) from error

    def _open_corpus(
        self,
        manifest: Mapping[str, Any],
        genomes: Mapping[str, str | Path],
        split: str,
        panel: str | Path | None,
    ) -> None:
        self.vocabulary = Vocabulary(manifest["k"], manifest["vocabulary"])
        rule = build(WindowRule, manifest["windows"], "windows")
        self.tokens = int(manifest["tokens"])
        if not 2 <= self.tokens <= tokens_per_window(rule, self.vocabulary.k, self.tokens):
            raise ValueError(f"windows of {rule.length} bases hold no {self.tokens} tokens")
        self._stores: list[GenomeBases] = []
        self._open: dict[int, None] = {}
        # The manifest's own facts, not copies of them: a corpus may have millions of contigs.
        self._contigs: list[Mapping[str, Any]] = []
        self._genomes: list[str] = []
        stores, offsets = [], []
        for genome in manifest["genomes"]:
            wanted = [contig for contig in genome["contigs"] if contig["split"] == split]
            if wanted:
                store = GenomeBases.of(genomes[genome["name"]])
                stores.append(np.full(len(wanted), len(self._stores), dtype=np.int64))
                offsets.append(_offsets(store, wanted))
                self._contigs += wanted
                self._genomes.append(genome["name"])
                self._stores.append(store)
        empty = np.empty(0, dtype=np.int64)
        self._store_of = np.concatenate([empty, *stores])
        self._offset_of = np.concatenate([empty, *offsets])
        self._index = WindowIndex([contig["length"] for contig in self._contigs], rule)
        self.windows = self._index.windows
        self._haplotype_contigs: dict[int, HaplotypeContig] = {}
        if haplotypes := manifest.get("haplotypes"):
            if panel is None:
                raise InputError(
                    f"The corpus {manifest['name']} has haplotypes; give their stores' folder."
                )
            self._haplotype_contigs = {
                number: HaplotypeContig(
                    Path(panel) / facts["contig"],
                    self._stores[self._store_of[number]],
                    {**facts, "offset": int(self._offset_of[number])},
                    haplotypes,
                )
                for number, facts in enumerate(self._contigs)
                if self._genomes[self._store_of[number]] == haplotypes["genome"]
                and facts["contig"] in haplotypes["contigs"]
            }

    def read(
        self,
        windows: NDArray[np.int64],
        starts: NDArray[np.int64],
        draws: NDArray[np.float64] | None = None,
    ) -> NDArray[np.uint16]:
        """Return the tokens of windows, tokenised from `starts` bases on: uint16[B, T].

        `draws` float64[B, 2] choose the haplotype of each window, see `HaplotypeStore.choose`;
        without them all are read from the reference. A haplotype that ends before T tokens, at the
        end of its contig, is padded with <pad>.
        """
        # Where a token begins and what it is depends on no more than the k bases from there on,
        # so T - 1 tokens are settled by the first k (T - 1) bases, with N in them or without.
        codes = np.empty((len(windows), self.vocabulary.k * (self.tokens - 1)), dtype=np.uint8)
        contigs, firsts = self._index.locate(windows)
        firsts = firsts + starts
        short: dict[int, int] = {}
        if draws is not None:
            for contig in np.unique(contigs):
                if haplotype_contig := self._haplotype_contigs.get(int(contig)):
                    rows = np.flatnonzero(contigs == contig)
                    codes[rows], lengths = haplotype_contig.read(
                        firsts[rows], draws[rows], codes.shape[1]
                    )
                    cut = lengths < codes.shape[1]
                    short.update(zip(rows[cut].tolist(), lengths[cut].tolist(), strict=True))
        columns = (contigs, self._store_of[contigs], self._offset_of[contigs] + firsts)
        places = zip(*(values.tolist() for values in columns), strict=True)
        for row, (contig, store, offset) in enumerate(places):
            if draws is None or contig not in self._haplotype_contigs:
                self._store(store).read_into(codes[row], offset)
        tokens = encode_windows(codes, self.vocabulary, self.tokens)
        for row, length in short.items():
            made = encode(codes[row, :length], self.vocabulary)[: self.tokens]
            tokens[row, : len(made)] = made
            tokens[row, len(made) :] = self.vocabulary.pad
        return tokens

    @property
    def has_haplotypes(self) -> bool:
        """Whether any window is read from haplotypes."""
        return bool(self._haplotype_contigs)

    def place(
        self, window: int, start: int, draw: NDArray[np.float64] | None = None
    ) -> dict[str, Any]:
        """Return genome, contig and absolute position of the first base tokenised.

        With a `draw` float64[2], sample and haplotype (1 or 2) as well where the contig has them.
        """
        contig, first = self._index.locate(window)
        facts = self._contigs[int(contig)]
        position = facts["start"] + int(first) + start
        genome = self._genomes[self._store_of[int(contig)]]
        place = {"genome": genome, "contig": facts["contig"], "start": position}
        if draw is not None and (haplotype_contig := self._haplotype_contigs.get(int(contig))):
            place |= haplotype_contig.name(draw, position)
        return place

    def _store(self, number: int) -> GenomeBases:
        if number not in self._open:
            if len(self._open) == MAX_OPEN_GENOMES:
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


def _offsets(store: GenomeBases, contigs: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    columns = ("contig", "start", "length", "offset")
    rows = zip(*(store.contigs[column].tolist() for column in columns), strict=True)
    known = {(contig, start, length): offset for contig, start, length, offset in rows}
    offsets = np.empty(len(contigs), dtype=np.int64)
    for number, contig in enumerate(contigs):
        offset = known.get((contig["contig"], contig["start"], contig["length"]))
        if offset is None:
            raise InputError(
                f"{store.contigs_path}: contig {contig['contig']} is not as the corpus manifest "
                "describes it; build the corpus again from these genomes."
            )
        offsets[number] = offset
    return offsets
