"""The elements of a genome's annotation as labelled windows, one function per recipe.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnalm.errors import InputError
from dnalm.genome.annotation import read_bed, read_gtf, splice_sites


@dataclass(frozen=True, kw_only=True)
class Window:
    """A piece of a contig, read in the direction of `strand`."""

    contig: str
    start: int
    end: int
    strand: str


@dataclass(frozen=True, kw_only=True)
class Elements:
    """What a recipe found: labelled windows, and per contig what no negative may touch."""

    positives: dict[Window, int]
    avoided: dict[str, list[tuple[int, int]]]
    length: int


def _promoters(build: Mapping[str, Any], name: str, path: str) -> Elements:
    """Windows of `upstream` bases before and `downstream` bases from the start of transcription.

    `tss_offset` is where the start lies in a BED interval, counted from its 5' end: 0 for records
    of one base, 49 for EPDnew's own file (-49 .. +10). Raises InputError for a promoter without a
    strand; what gets no label is only avoided, then in both directions.
    """
    positives: dict[Window, int] = {}
    avoided: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for interval in read_bed(path):
        label = _label_of(interval.name, build["labels_by_name"])
        if interval.strand == "." and label is not None:
            raise InputError(
                f"{path}: the interval {interval.contig}:{interval.start}-{interval.end} has no "
                "strand, and promoters are read in the direction of their gene: write '+' or '-' "
                "into its sixth column or remove the line."
            )
        avoided[interval.contig].append((interval.start, interval.end))
        for strand in "+-" if interval.strand == "." else interval.strand:
            if strand == "-":
                tss = interval.end - 1 - build["tss_offset"]
                start, end = tss + 1 - build["downstream"], tss + 1 + build["upstream"]
            else:
                tss = interval.start + build["tss_offset"]
                start, end = tss - build["upstream"], tss + build["downstream"]
            avoided[interval.contig].append((start, end))
            window = Window(contig=interval.contig, start=start, end=end, strand=strand)
            _add(positives, window, label)
    return _elements(positives, avoided, build["upstream"] + build["downstream"], name, build)


def _enhancers(build: Mapping[str, Any], name: str, path: str) -> Elements:
    """Windows of `length` bases centred on the intervals, read forward."""
    positives: dict[Window, int] = {}
    avoided: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for interval in read_bed(path):
        start = (interval.start + interval.end) // 2 - build["length"] // 2
        end = start + build["length"]
        window = Window(contig=interval.contig, start=start, end=end, strand="+")
        avoided[interval.contig] += [(interval.start, interval.end), (start, end)]
        _add(positives, window, _label_of(interval.name, build["labels_by_name"]))
    return _elements(positives, avoided, build["length"], name, build)


def _sites(build: Mapping[str, Any], name: str, path: str) -> Elements:
    """Windows of `length` bases whose middle is the border of exon and intron.

    A donor's GT begins at offset length / 2, an acceptor's AG ends there. `labels_by_kind` gives
    the classes of `donor` and `acceptor`; a kind it leaves out is only avoided by negatives.
    """
    half = build["length"] // 2
    positives: dict[Window, int] = {}
    avoided: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for site in splice_sites(read_gtf(path)):
        # The base right of the border: the site itself, or its right neighbour where the intron
        # lies to the left (acceptor on plus, donor on minus).
        left_intron = (site.kind == "acceptor") == (site.strand == "+")
        border = site.position + left_intron
        window = Window(
            contig=site.contig,
            start=border - half,
            end=border - half + build["length"],
            strand=site.strand,
        )
        first = site.position - 1 if left_intron else site.position
        avoided[site.contig].append((first, first + 2))
        _add(positives, window, build["labels_by_kind"].get(site.kind))
    if build["length"] % 2:
        raise InputError(
            f"Task {name} has build.length {build['length']}; splice sites need an even length, "
            "so that the border lies in the middle on both strands."
        )
    return _elements(positives, avoided, build["length"], name, build)


def _add(positives: dict[Window, int], window: Window, label: int | None) -> None:
    if label is not None:
        positives.setdefault(window, label)


def _label_of(name: str, labels_by_name: Mapping[str, int]) -> int | None:
    """Return the label of the first pattern found in an interval's name, None where none is."""
    return next((lab for pat, lab in labels_by_name.items() if re.search(pat, name)), None)


def _elements(
    positives: dict[Window, int],
    avoided: dict[str, list[tuple[int, int]]],
    length: int,
    name: str,
    build: Mapping[str, Any],
) -> Elements:
    if not positives:
        raise InputError(
            f"Task {name}: the file of its recipe {build['recipe']} names no element that "
            "gets a label: correct its path or build.labels_by_name."
        )
    return Elements(positives=positives, avoided=dict(avoided), length=length)


# Each recipe's function and the file that it reads.
RECIPES = {
    "promoters": (_promoters, "intervals"),
    "splice_sites": (_sites, "annotation"),
    "enhancers": (_enhancers, "intervals"),
}
