"""Annotation of a genome: BED intervals, GTF transcripts and their splice sites.

All coordinates in Python are 0-based and half-open; GTF text is 1-based and closed.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from isal import igzip

from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.fasta import GZIP_MAGIC

STRANDS = ("+", "-", ".")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One BED record, 0-based half-open; strand is '+', '-' or '.'."""

    contig: str
    start: int
    end: int
    name: str
    strand: str


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """One transcript: exons and coding parts as (start, end), 0-based half-open, ascending."""

    contig: str
    strand: str
    gene: str
    name: str
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, order=True)
class SpliceSite:
    """One intron end: `position` is the first (donor) or last (acceptor) intron base, 0-based."""

    contig: str
    position: int
    strand: str
    kind: str


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file, gzip or plain (told by its first bytes); `-sig` drops a byte order mark."""
    with open(path, "rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        raw = igzip.IGzipFile(fileobj=file) if packed else file
        yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


@contextmanager
def write_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file to write, gzip when its name ends in .gz; equal text gives equal bytes."""
    with atomic_path(path) as temporary, ExitStack() as stack:
        raw = stack.enter_context(open(temporary, "wb"))
        if Path(path).suffix == ".gz":
            # Neither name nor time in the header: they would change the file's sha256.
            raw = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0))
        yield stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8"))


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of what is neither empty nor a comment or a track line."""
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                line = line.rstrip("\r\n")
                if line and not line.startswith(("#", "track", "browser")):
                    yield number, line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {error}): fetch the file again."
        ) from error


def _span(path: str | Path, number: int, start: str, end: str, first: int) -> tuple[int, int]:
    """Return (start, end), 0-based half-open, of two text fields counted from `first`."""
    if not (start.isdigit() and end.isdigit()) or not 0 <= int(start) - first < int(end):
        raise InputError(
            f"{path}:{number}: {start[:20]!r} to {end[:20]!r} is not an interval: "
            "correct its start and end columns."
        )
    return int(start) - first, int(end)


def read_bed(path: str | Path) -> list[Interval]:
    """Return the records of a BED file with three or more columns, in file order.

    Raises InputError with file and line for anything else, and for a file without records.
    """
    intervals = []
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < 3:
            raise InputError(
                f"{path}:{number}: a BED line needs contig, start and end, "
                f"found {line[:60]!r}: correct the line."
            )
        start, end = _span(path, number, fields[1], fields[2], 0)
        strand = fields[5] if len(fields) > 5 else "."
        if strand not in STRANDS:
            raise InputError(f"{path}:{number}: the strand is {strand!r}: write '+', '-' or '.'.")
        name = fields[3] if len(fields) > 3 else f"{fields[0]}:{start}-{end}"
        intervals.append(Interval(contig=fields[0], start=start, end=end, name=name, strand=strand))
    if not intervals:
        raise InputError(f"{path} holds no interval: give a BED file with at least one line.")
    return intervals


def read_gtf(path: str | Path) -> list[Transcript]:
    """Return the transcripts of a GTF file, built from its exon and CDS lines, in file order.

    Raises InputError with file and line for a line that is no GTF, and for a file without exons.
    """
    parts: dict[tuple[str, str, str, str], dict[str, list[tuple[int, int]]]] = {}
    for number, line in _lines(path):
        fields = line.split("\t")
        if len(fields) != 9:
            raise InputError(
                f"{path}:{number}: a GTF line has 9 columns between tabs, this one has "
                f"{len(fields)}: correct the line or give a GTF file."
            )
        if fields[2] not in ("exon", "CDS"):
            continue
        found = dict(re.findall(r'(\w+) "([^"]*)"', fields[8]))
        if "transcript_id" not in found or fields[6] not in ("+", "-"):
            raise InputError(
                f"{path}:{number}: an {fields[2]} line needs a strand and an attribute "
                'transcript_id "...": correct the line or give a GTF file (GFF3 is not read).'
            )
        # A transcript id may stand on several contigs (chrX and chrY of the human genome).
        key = (fields[0], fields[6], found.get("gene_id", ""), found["transcript_id"])
        span = _span(path, number, fields[3], fields[4], 1)
        parts.setdefault(key, {"exon": [], "CDS": []})[fields[2]].append(span)
    transcripts = [
        Transcript(
            contig=contig,
            strand=strand,
            gene=gene,
            name=name,
            exons=tuple(sorted(spans["exon"])),
            coding=tuple(sorted(spans["CDS"])),
        )
        for (contig, strand, gene, name), spans in parts.items()
        if spans["exon"]
    ]
    if not transcripts:
        raise InputError(f"{path} holds no exon line: give a GTF file with transcripts.")
    return transcripts


def splice_sites(transcripts: Iterable[Transcript]) -> list[SpliceSite]:
    """Return every different splice site of the transcripts, sorted.

    On the minus strand the intron's right end is its donor and its left end its acceptor.
    """
    sites = set()
    for transcript in transcripts:
        for (_, left), (right, _) in zip(transcript.exons, transcript.exons[1:], strict=False):
            if right <= left:
                continue
            ends = (left, right - 1) if transcript.strand == "+" else (right - 1, left)
            for kind, position in zip(("donor", "acceptor"), ends, strict=True):
                sites.add(
                    SpliceSite(
                        contig=transcript.contig,
                        position=position,
                        strand=transcript.strand,
                        kind=kind,
                    )
                )
    return sorted(sites)


def write_bed(intervals: Iterable[Interval], path: str | Path) -> None:
    """Write six-column BED, score 0, in the order given."""
    with write_text(path) as file:
        for interval in intervals:
            fields = (interval.contig, interval.start, interval.end, interval.name, 0)
            file.write("\t".join(map(str, (*fields, interval.strand))) + "\n")


def write_gtf(transcripts: Iterable[Transcript], source: str, path: str | Path) -> None:
    """Write gene, transcript, exon and CDS lines, one gene per transcript, in the order given."""
    with write_text(path) as file:
        for transcript in transcripts:
            whole = (transcript.exons[0][0], transcript.exons[-1][1])
            _write_feature(file, source, "gene", transcript, whole, ".")
            _write_feature(file, source, "transcript", transcript, whole, ".")
            for exon in transcript.exons:
                _write_feature(file, source, "exon", transcript, exon, ".")
            length = 0
            forward = transcript.strand == "+"
            for part in transcript.coding if forward else reversed(transcript.coding):
                # The frame says how many bases of the part belong to the codon begun before it.
                _write_feature(file, source, "CDS", transcript, part, str(-length % 3))
                length += part[1] - part[0]


def _write_feature(
    file: TextIO,
    source: str,
    feature: str,
    transcript: Transcript,
    span: tuple[int, int],
    frame: str,
) -> None:
    attributes = f'gene_id "{transcript.gene}";'
    if feature != "gene":
        attributes += f' transcript_id "{transcript.name}";'
    start, end = span[0] + 1, span[1]
    fields = (transcript.contig, source, feature, start, end, ".", transcript.strand, frame)
    file.write("\t".join(map(str, (*fields, attributes))) + "\n")
