"""Task rows cut from a genome and its annotation: promoters, splice sites, enhancers.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.elements import RECIPES, Elements, Window
from dnalm.benchmark.inventory import SPLITS
from dnalm.benchmark.labelled import LabelledRow
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import reverse_complement, to_codes, to_sequence

N = int(to_codes("N")[0])
DONOR, ACCEPTOR = to_codes("GT"), to_codes("AG")


def cut_windows(
    build: Mapping[str, Any], name: str, files: Mapping[str, str]
) -> tuple[list[LabelledRow], dict[str, Any]]:
    """Return the rows of a task, training rows first, and how they came about.

    Positives of label 1 and up are windows around the elements, in their direction; negatives
    (label 0) are windows of the same length and of either strand that overlap neither an element
    nor each other. No window holds an N. On each contig there are as many negatives as rows of a
    positive class, on average.
    `files` holds bases, contigs and what the recipe reads: intervals (BED) or annotation (GTF).
    Raises InputError for an unknown recipe or contig, and when there is no room for negatives.
    """
    if build["recipe"] not in RECIPES:
        raise InputError(
            f"Task {name} asks for the recipe {build['recipe']!r}; "
            f"known recipes: {', '.join(RECIPES)}."
        )
    find, key = RECIPES[build["recipe"]]
    if key not in files:
        raise InputError(
            f"Task {name}: the recipe {build['recipe']} needs build.{key}, the path of its "
            f"{'BED' if key == 'intervals' else 'GTF'} file: add it."
        )
    with closing(GenomeBases(files["bases"], files["contigs"])) as genome:
        cutter = _Cutter(genome, find(build, name, files[key]))
        unknown = [contig for contig in build["test_contigs"] if contig not in cutter.pieces]
        if unknown:
            raise InputError(
                f"Task {name} asks for the test contig {unknown[0]!r}, which genome "
                f"{build['genome']} does not hold; it holds {', '.join(cutter.pieces)[:200]}."
            )
        positives = cutter.positives()
        if not positives:
            raise InputError(
                f"{files[key]} names no element inside genome {build['genome']}, whose "
                f"contigs are {', '.join(cutter.pieces)[:200]}: give both the same contig names."
            )
        rows = _rows(cutter, positives, build, name)
    found = len(cutter.elements.positives)
    return rows, {
        "genome": build["genome"],
        "recipe": build["recipe"],
        "elements": found,
        "dropped_at_ends_or_n": found - len(positives),
    }


def _rows(
    cutter: "_Cutter", positives: Sequence[Window], build: Mapping[str, Any], name: str
) -> list[LabelledRow]:
    """Return the rows of both splits, each in random order."""
    random = np.random.default_rng(build["seed"])
    labels = cutter.elements.positives
    kinds = sorted(build["labels_by_kind"]) if build["decoys"] == "dinucleotide" else []
    rows = []
    for split in SPLITS:
        contigs = [c for c in cutter.pieces if (c in build["test_contigs"]) == (split == "test")]
        inside = [window for window in positives if window.contig in contigs]
        chosen = _capped(inside, labels, build["maximum"][split], random)
        labelled = [(window, labels[window]) for window in chosen]
        for contig in contigs:
            wanted = sum(window.contig == contig for window in chosen) // len(set(labels.values()))
            negatives = cutter.negatives(contig, wanted, kinds, random)
            if len(negatives) < wanted:
                raise InputError(
                    f"Task {name}: on contig {contig} {len(negatives)} windows of "
                    f"{cutter.elements.length} bases were found that hold no element and no N, but "
                    f"{wanted} are needed: lower build.maximum or the windows' length"
                    f"{', or use decoys: genome' if kinds else ''}."
                )
            labelled += [(window, 0) for window in negatives]
        for i in random.permutation(len(labelled)):
            window, label = labelled[i]
            rows.append(
                LabelledRow(
                    sequence=to_sequence(cutter.codes(window)),
                    label=str(label),
                    split=split,
                    provenance=f"{window.contig}:{window.start}-{window.end}({window.strand})",
                )
            )
    return rows


def _capped(
    windows: Sequence[Window],
    labels: Mapping[Window, int],
    maximum: int | None,
    random: np.random.Generator,
) -> list[Window]:
    """Draw at most the same number of windows per class, so that all rows stay below `maximum`."""
    by_label: dict[int, list[Window]] = defaultdict(list)
    for window in windows:
        by_label[labels[window]].append(window)
    classes = len(set(labels.values())) + 1
    share = None if maximum is None else maximum // classes
    return [
        by_label[label][i]
        for label in sorted(by_label)
        for i in sorted(random.permutation(len(by_label[label]))[:share])
    ]


class _Cutter:
    """Reads windows of one genome and finds places for those that touch no element."""

    def __init__(self, genome: GenomeBases, elements: Elements) -> None:
        self.genome, self.elements = genome, elements
        self.pieces: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in genome.contigs.itertuples():
            self.pieces[row.contig].append((int(row.start), int(row.start + row.length)))
        self.avoided = {contig: _merged(spans) for contig, spans in elements.avoided.items()}

    def codes(self, window: Window) -> NDArray[np.uint8] | None:
        """Return the window's codes in its own direction; None outside the genome or with an N."""
        pieces = self.pieces.get(window.contig, [])
        if not any(first <= window.start and window.end <= last for first, last in pieces):
            return None
        codes = self.genome.read_absolute(window.contig, window.start, window.end)
        if (codes == N).any():
            return None
        return reverse_complement(codes) if window.strand == "-" else codes

    def positives(self) -> list[Window]:
        """Return the windows of the elements that can be read, sorted by place."""
        windows = sorted(self.elements.positives, key=lambda w: (w.contig, w.start, w.strand))
        return [window for window in windows if self.codes(window) is not None]

    def negatives(
        self, contig: str, wanted: int, kinds: Sequence[str], random: np.random.Generator
    ) -> list[Window]:
        """Draw up to `wanted` windows of one contig that overlap neither each other nor `avoided`.

        Candidates are the cells of a grid with a random phase, taken in random order, so that the
        search ends. With `kinds` of splice sites a cell is moved so that a random GT (`donor`) or
        AG (`acceptor`) of it takes the place that a site has in the positives, one for which
        there is room; a cell without such a one is passed over.
        """
        length = self.elements.length
        phase = int(random.integers(length))
        starts = [
            start
            for first, last in self.pieces[contig]
            for start in range(first + phase, last - length + 1, length)
        ]
        drawn: dict[int, Window] = {}  # by start // length: two in one place would overlap
        for cell in random.permutation(len(starts)):
            if len(drawn) == wanted:
                break
            start = starts[cell]
            strand = "+-"[int(random.integers(2))]
            window = Window(contig=contig, start=start, end=start + length, strand=strand)
            moved = self._on_dinucleotides(window, kinds, random) if kinds else [window]
            found = next((place for place in moved if self._has_room(place, drawn)), None)
            if found is not None:
                drawn[found.start // length] = found
        return list(drawn.values())

    def _on_dinucleotides(
        self, window: Window, kinds: Sequence[str], random: np.random.Generator
    ) -> Iterator[Window]:
        """Yield the window moved onto its GTs or AGs, as one of `kinds` of sites, shuffled."""
        codes = self.codes(window)
        if codes is None:
            return
        donor = kinds[random.integers(len(kinds))] == "donor"
        first, second = DONOR if donor else ACCEPTOR
        offsets = np.flatnonzero((codes[:-1] == first) & (codes[1:] == second))
        for offset in random.permutation(offsets):
            # The border of exon and intron lies before a GT and behind an AG, as it is read.
            shift = int(offset) + (0 if donor else 2) - len(codes) // 2
            start = window.start + (shift if window.strand == "+" else -shift)
            yield Window(
                contig=window.contig, start=start, end=start + len(codes), strand=window.strand
            )

    def _has_room(self, window: Window, drawn: Mapping[int, Window]) -> bool:
        """Say whether the window overlaps nothing drawn or avoided, no N and no end."""
        length = self.elements.length
        cell = window.start // length
        near = [drawn[place] for place in (cell - 1, cell, cell + 1) if place in drawn]
        if any(abs(other.start - window.start) < length for other in near):
            return False
        return not self._touches(window) and self.codes(window) is not None

    def _touches(self, window: Window) -> bool:
        """Say whether the window shares a base with something avoided."""
        if window.contig not in self.avoided:
            return False
        starts, ends = self.avoided[window.contig]
        following = int(np.searchsorted(ends, window.start, side="right"))
        return following < len(starts) and bool(starts[following] < window.end)


def _merged(intervals: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts and ends of the disjoint intervals that cover the same bases, sorted."""
    merged: list[list[int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    array = np.array(merged, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
