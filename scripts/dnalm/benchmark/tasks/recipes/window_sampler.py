"""Windows of a genome drawn at random where no element is, and which windows can be read.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.recipes.elements import WINDOW
from dnalm.genome.bases import GenomeBases, find_gaps
from dnalm.genome.intervals import Spans, merge_spans, touch
from dnalm.genome.kmers import reverse_complement, to_codes

DONOR, ACCEPTOR = to_codes("GT"), to_codes("AG")
NO_SPANS = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


class Window(NamedTuple):
    """A piece of a contig, read in the direction of `strand`."""

    contig: str
    start: int
    end: int
    strand: str


class WindowSampler:
    """Draws windows from the contigs of a genome as far as they are stored, but what to avoid.

    `contigs` are those to use, `avoided` has the columns contig, start and end; with `gaps` a
    window may hold N.
    """

    def __init__(
        self, genome: GenomeBases, contigs: Sequence[str], avoided: pd.DataFrame, gaps: str
    ) -> None:
        self.genome = genome
        self.pieces = {
            contig: sorted((int(r.start), int(r.start + r.length)) for r in rows.itertuples())
            for contig, rows in genome.contigs.groupby("contig", sort=False)
            if contig in contigs
        }
        self._gaps = {
            contig: NO_SPANS if gaps == "keep" else find_gaps(genome, contig)
            for contig in self.pieces
        }
        self._avoided = {
            contig: merge_spans(rows["start"].to_numpy(), rows["end"].to_numpy())
            for contig, rows in avoided.groupby("contig", sort=False)
        }

    def codes(self, window: Window) -> NDArray[np.uint8]:
        """Return the window's codes in its own direction."""
        codes = self.genome.read_absolute(window.contig, window.start, window.end)
        return reverse_complement(codes) if window.strand == "-" else codes

    def is_inside(self, windows: pd.DataFrame) -> NDArray[np.bool_]:
        """Say of each window, by contig, start and end, whether it is stored as a whole."""
        return self._by_contig(windows, self._inside)

    def has_gap(self, windows: pd.DataFrame) -> NDArray[np.bool_]:
        """Say of each window whether it holds an N and may not."""
        return self._by_contig(
            windows, lambda contig, starts, ends: touch(starts, ends, self._gaps[contig])
        )

    def _by_contig(self, windows: pd.DataFrame, test: Any) -> NDArray[np.bool_]:
        found = np.zeros(len(windows), dtype=bool)
        for contig, rows in windows.groupby("contig", sort=False).indices.items():
            if contig in self.pieces:
                part = windows.iloc[rows]
                found[rows] = test(contig, part["start"].to_numpy(), part["end"].to_numpy())
        return found

    def _inside(
        self, contig: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        firsts, lasts = np.array(self.pieces[contig]).T
        piece = np.maximum(np.searchsorted(firsts, starts, side="right") - 1, 0)
        return (firsts[piece] <= starts) & (ends <= lasts[piece])

    def _is_free(
        self, contig: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        avoided: Spans = self._avoided.get(contig, NO_SPANS)
        free = ~touch(starts, ends, avoided) & ~touch(starts, ends, self._gaps[contig])
        return free & self._inside(contig, starts, ends)

    def draw(
        self, contigs: Sequence[str], length: int, wanted: int, random: np.random.Generator
    ) -> pd.DataFrame:
        """Draw up to `wanted` windows that overlap neither each other nor what is to be avoided.

        They are cells of a grid with a random phase on each contig, of either strand, drawn from
        all that are free.
        """
        drawn = []
        for contig in contigs:
            starts = self._grid(contig, length, random)
            starts = starts[self._is_free(contig, starts, starts + length)]
            drawn.append(pd.DataFrame({"contig": contig, "start": starts, "end": starts + length}))
        cells = pd.concat(drawn, ignore_index=True)
        cells = cells.iloc[random.permutation(len(cells))[:wanted]]
        return cells.assign(strand=np.array(["+", "-"])[random.integers(2, size=len(cells))])

    def draw_on_dinucleotides(
        self,
        contigs: Sequence[str],
        length: int,
        wanted: int,
        random: np.random.Generator,
        kinds: Sequence[str],
    ) -> pd.DataFrame:
        """Draw as `draw` does, each window around a random GT (`donor`) or AG (`acceptor`).

        A cell is moved so that one of its GTs or AGs takes the place that a site has in the
        positives, one for which there is room; a cell without such a one is passed over.
        """
        cells = [
            (contig, start)
            for contig in contigs
            for start in self._grid(contig, length, random).tolist()
        ]
        drawn: dict[tuple[str, int], Window] = {}
        for cell in random.permutation(len(cells)):
            if len(drawn) == wanted:
                break
            contig, start = cells[cell]
            window = Window(contig, start, start + length, "+-"[int(random.integers(2))])
            moved = self._on_dinucleotides(window, kinds, random)
            found = next((place for place in moved if self._has_room(place, drawn)), None)
            if found is not None:  # two in one place of length's grid would overlap
                drawn[contig, found.start // length] = found
        return pd.DataFrame(drawn.values(), columns=WINDOW)

    def _grid(self, contig: str, length: int, random: np.random.Generator) -> NDArray[np.int64]:
        phase = int(random.integers(length))
        pieces = self.pieces[contig]
        cells = [np.arange(first + phase, last - length + 1, length) for first, last in pieces]
        return np.concatenate(cells)

    def _on_dinucleotides(
        self, window: Window, kinds: Sequence[str], random: np.random.Generator
    ) -> Iterator[Window]:
        """Yield the window moved onto its GTs or AGs, as one of `kinds` of sites, shuffled."""
        codes = self.codes(window)
        donor = kinds[random.integers(len(kinds))] == "donor"
        first, second = DONOR if donor else ACCEPTOR
        offsets = np.flatnonzero((codes[:-1] == first) & (codes[1:] == second))
        for offset in random.permutation(offsets):
            # The border of exon and intron lies before a GT and behind an AG, as it is read.
            shift = int(offset) + (0 if donor else 2) - len(codes) // 2
            start = window.start + (shift if window.strand == "+" else -shift)
            yield Window(window.contig, start, start + len(codes), window.strand)

    def _has_room(self, window: Window, drawn: Mapping[tuple[str, int], Window]) -> bool:
        """Say whether the window overlaps nothing drawn or avoided, no N and no end."""
        length = window.end - window.start
        cell = window.start // length
        places = [(window.contig, near) for near in (cell - 1, cell, cell + 1)]
        near = [drawn[place] for place in places if place in drawn]
        if any(abs(other.start - window.start) < length for other in near):
            return False
        span = (np.array([window.start]), np.array([window.end]))
        return bool(self._is_free(window.contig, *span)[0])
