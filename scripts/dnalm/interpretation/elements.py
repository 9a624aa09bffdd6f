"""Elements of an annotated genome as sets of bases: exons, introns, UTRs, and what BED files name.

All coordinates are 0-based and half-open, of whole contigs. A base may lie in several elements; of
those that transcripts give, on either strand, each is a union over all transcripts:

* exon, CDS: the exons and coding parts of any transcript;
* five_prime_UTR, three_prime_UTR: exons before the first and behind the last coding base of their
  transcript, in reading direction, without what any transcript codes;
* intron: inside a transcript, in no exon of any;
* intergenic: in no transcript.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.annotation import Transcript, read_gtf
from dnalm.genome.intervals import Spans, merge_spans, read_bed
from dnalm.suggestions import nearest

OF_TRANSCRIPTS = ("exon", "CDS", "five_prime_UTR", "three_prime_UTR", "intron", "intergenic")

log = logging.getLogger(__name__)

Elements = dict[str, dict[str, Spans]]  # by name and contig: disjoint spans, sorted


def read_elements(
    transcripts: str | Path | None,
    beds: Mapping[str, str | Path],
    contigs: Mapping[str, tuple[int, int]],
) -> Elements:
    """Return the elements of a GTF or GFF3 file and of one BED file for each further name.

    `contigs` are the first and the end base of each contig of the genome; what lies outside of them
    is cut off, with a warning where it reaches over the end of a contig. Raises InputError when a
    file names no contig of the genome, or a BED file is to be called like an element of
    transcripts.
    """
    elements: Elements = {}
    if transcripts is not None:
        read = read_gtf(transcripts)
        _check_contigs(transcripts, {transcript.contig for transcript in read}, contigs)
        ends = ((one.contig, max(end for _, end in one.exons)) for one in read)
        _warn_of_ends(transcripts, "transcripts", ends, contigs)
        elements |= elements_of_transcripts(read, contigs)
    for name, path in beds.items():
        if name in elements:
            raise InputError(
                f"bed.{name}: {path} would be called as what the transcripts give; choose another "
                "name."
            )
        table = read_bed(path, name=None, strand=None)
        _check_contigs(path, set(table["contig"]), contigs)
        _warn_of_ends(path, "intervals", zip(table["contig"], table["end"], strict=True), contigs)
        elements[name] = {
            contig: _clip(merge_spans(own["start"].to_numpy(), own["end"].to_numpy()), *ends)
            for contig, ends in contigs.items()
            if len(own := table[table["contig"] == contig])
        }
    return elements


def _check_contigs(path: str | Path, named: Collection[str], contigs: Collection[str]) -> None:
    if not set(named) & set(contigs):
        first = min(named)
        raise InputError(
            f"{path}: none of its contigs ({first}, …) is one of the genome's ({min(contigs)}, …)"
            f"{nearest(first, sorted(contigs))}; give a file of this genome and its contig names."
        )


def _warn_of_ends(
    path: str | Path,
    what: str,
    ends: Iterable[tuple[str, int]],
    contigs: Mapping[str, tuple[int, int]],
) -> None:
    """Warn where a file names places behind the ends of contigs, as one of another assembly does.

    Of a contig that is stored from another base on, others are left out on purpose.
    """
    whole = {contig: end for contig, (start, end) in contigs.items() if start == 0}
    beyond = [(contig, end) for contig, end in ends if end > whole.get(contig, end)]
    if beyond:
        contig, end = beyond[0]
        log.warning(
            "%s: %d %s reach over the end of their contig and are cut, the first to %s:%d, which "
            "has %d bases; is the file of this assembly?",
            *(path, len(beyond), what, contig, end, whole[contig]),
        )


def elements_of_transcripts(
    transcripts: Iterable[Transcript], contigs: Mapping[str, tuple[int, int]]
) -> Elements:
    """Return the elements `OF_TRANSCRIPTS` of transcripts; see above for what each is."""
    spans: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for transcript in transcripts:
        own = spans[transcript.contig]
        own["transcript"].append((transcript.exons[0][0], max(end for _, end in transcript.exons)))
        own["exon"] += transcript.exons
        own["CDS"] += transcript.coding
        if not transcript.coding:
            continue
        first = transcript.coding[0][0]
        last = max(end for _, end in transcript.coding)
        before = [(start, min(end, first)) for start, end in transcript.exons if start < first]
        behind = [(max(start, last), end) for start, end in transcript.exons if end > last]
        ends = (before, behind) if transcript.strand == "+" else (behind, before)
        own["five_prime_UTR"] += ends[0]
        own["three_prime_UTR"] += ends[1]
    elements: Elements = {name: {} for name in OF_TRANSCRIPTS}
    for contig, (start, end) in contigs.items():
        merged = {
            name: _clip(_union(spans[contig][name]), start, end)
            for name in ("transcript", "exon", "CDS", "five_prime_UTR", "three_prime_UTR")
        }
        made = {
            "exon": merged["exon"],
            "CDS": merged["CDS"],
            "five_prime_UTR": subtract(merged["five_prime_UTR"], merged["CDS"]),
            "three_prime_UTR": subtract(merged["three_prime_UTR"], merged["CDS"]),
            "intron": subtract(merged["transcript"], merged["exon"]),
            "intergenic": subtract(
                (np.array([start], dtype=np.int64), np.array([end], dtype=np.int64)),
                merged["transcript"],
            ),
        }
        for name, own in made.items():
            if len(own[0]):
                elements[name][contig] = own
    return elements


def _union(spans: Sequence[tuple[int, int]]) -> Spans:
    pairs = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return merge_spans(pairs[:, 0], pairs[:, 1])


def _clip(spans: Spans, start: int, end: int) -> Spans:
    starts, ends = np.maximum(spans[0], start), np.minimum(spans[1], end)
    kept = starts < ends
    return starts[kept], ends[kept]


def subtract(spans: Spans, others: Spans) -> Spans:
    """Return the parts of disjoint, sorted spans that lie in none of others, sorted alike."""
    parts = (*spans, *others)
    edges = np.concatenate(parts)
    # A base is at depth 1 in a span alone, at −2 in another alone, at −1 in both.
    steps = np.repeat((1, -1, -2, 2), [len(part) for part in parts])
    order = np.argsort(edges, kind="stable")
    depth = np.cumsum(steps[order])
    # Of edges at one base only the state behind the last of them lasts.
    last = np.append(np.diff(edges[order]) > 0, True) if len(edges) else np.zeros(0, dtype=bool)
    places, depth = edges[order][last], depth[last]
    covered = depth == 1
    turns = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    return places[turns[0::2]], places[turns[1::2]]


def mask_bases(spans: Spans, start: int, end: int) -> NDArray[np.bool_]:
    """Return bool[end − start]: which bases of a window lie in disjoint, sorted spans."""
    first = np.searchsorted(spans[1], start, side="right")
    behind = np.searchsorted(spans[0], end, side="left")
    mask = np.zeros(end - start, dtype=bool)
    for left, right in zip(spans[0][first:behind], spans[1][first:behind], strict=True):
        mask[max(left - start, 0) : right - start] = True
    return mask


def mask_tokens(mask: NDArray[np.bool_], bases: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return bool[T]: the tokens of which at least half of the bases lie in an element.

    `mask` bool[n] is that of the window's bases, `bases` int[T] how many each token holds, 0 of
    `<cls>`, which lies in no element; they sum to n.
    """
    ends = np.cumsum(bases)
    inside = np.concatenate([[0], np.cumsum(mask)])
    covered = inside[ends] - inside[ends - bases]
    return (2 * covered >= bases) & (bases > 0)
