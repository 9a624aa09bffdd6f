"""Gene annotation: transcripts of GTF and GFF3 files, and their splice sites.

All coordinates in Python are 0-based and half-open; GTF text is 1-based and closed.
"""

import codecs
import gzip
import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

import numpy as np
import pandas as pd

from dnalm.download.compression import FOREIGN_BYTES, name_foreign, open_binary
from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.gene_attributes import gene_id, is_gff3, transcript_ids

TRACK_LINE = re.compile(r"(track|browser)(\s|$)")  # display settings of a genome browser
FASTA_DIRECTIVE = "##FASTA"  # the sequences follow it in a GFF3 file
COORDINATE = re.compile(r"[0-9]{1,18}")  # digits of ASCII; more do not fit 64 bits
FEATURES = ("exon", "CDS")
FEATURE_NAMES = {name.lower(): name for name in FEATURES}  # some programs write Exon or cds
LEFT_OUT = ("without a strand", "without a transcript")  # lines of these features
EVIDENCE_LEVEL = re.compile(r'(?:^|;)\s*level(?: |=)"?(\d{1,9})')

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """One transcript: exons and coding parts (CDS) as (start, end), 0-based half-open, ascending.

    `level` is GENCODE's: 1 validated, 2 annotated by hand, 3 by a program; None: none is given.
    """

    contig: str
    strand: str
    gene: str
    name: str
    level: int | None
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8 or, where its byte order mark says so, UTF-16; gzip or plain.

    The byte order mark is dropped. Raises InputError for gzip data that is damaged, and for files
    of another kind, with what converts them.
    """
    with open_binary(path) as file:
        start = file.peek(FOREIGN_BYTES)
        utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if not utf16 and (foreign := name_foreign(start)):
            raise InputError(f"{path}: this is {foreign[0]}; {foreign[1]}.")
        yield io.TextIOWrapper(file, encoding="utf-16" if utf16 else "utf-8", newline="")


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn what a file that cannot be read as text raises into one sentence with the remedy.

    Raises InputError for a missing file, damaged gzip data, and bytes that are no UTF-8.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path}{_name_undecodable(path, error)}") from error
    except OSError as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {said}): fetch the file again."
        ) from error


def _name_undecodable(path: str | Path, error: UnicodeDecodeError) -> str:
    """Return where the bytes are that are no text, and what to do: the rest of a sentence."""
    with open_binary(path) as raw:
        for number, line in enumerate(raw, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as wrong:
                byte = f"0x{line[wrong.start]:02x}"
                return (
                    f":{number}: the line holds the byte {byte}, which is not UTF-8 but may be "
                    "Latin-1 or Windows-1252: save the file as UTF-8."
                )
    return f" cannot be read ({error}): save the file as UTF-8."


@contextmanager
def write_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file to write, gzip if it ends in .gz; equal text gives equal bytes."""
    with atomic_path(path) as temporary, ExitStack() as stack:
        raw = stack.enter_context(open(temporary, "wb"))
        if Path(path).suffix == ".gz":
            # Neither name nor time in the header: they would change the file's sha256.
            raw = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, mtime=0))
        yield stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8"))


def lines(path: str | Path, comment: str | None = "#") -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of all but blank, comment and track lines.

    It ends at the sequences of a GFF3 file.
    """
    with readable(path), open_text(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip("\r\n")
            if line.rstrip() == FASTA_DIRECTIVE:
                return
            skipped = comment is not None and line.startswith(comment)
            if line.strip() and not skipped and not TRACK_LINE.match(line):
                yield number, line


def span(path: str | Path, number: int, start: str, end: str, first: int) -> tuple[int, int]:
    """Return (start, end), 0-based half-open, of two text fields counted from `first`, 0 or 1.

    Raises InputError, naming the line, where they are no interval.
    """
    places = COORDINATE.fullmatch(start), COORDINATE.fullmatch(end)
    if not all(places) or not 0 <= int(start) - first < int(end):
        raise InputError(
            f"{path}:{number}: {start[:20]!r} to {end[:20]!r} is not an interval: "
            "correct its start and end columns."
        )
    return int(start) - first, int(end)


def read_gtf(path: str | Path) -> list[Transcript]:
    """Return the transcripts of a GTF or GFF3 file, made of its exon and CDS lines, in file order.

    A line belongs to the transcript that its attribute transcript_id names, in GFF3 to its Parents.
    Lines that name no gene are of the one that others of their transcript name, and a line that is
    there twice counts once. Where a transcript has CDS lines alone, these are its exons. Lines
    without a strand or without a transcript are left out and, as these transcripts, counted in a
    warning.

    Raises InputError with file and line for a line that is neither, and for a file without exons.
    """
    parts: dict[tuple[str, ...], dict[str, list[tuple[int, int]]]] = {}
    levels: dict[tuple[str, ...], str] = {}
    left_out: dict[str, list[int]] = {reason: [] for reason in LEFT_OUT}
    for number, fields in feature_lines(path):
        feature = FEATURE_NAMES.get(fields[2].lower())
        if feature is None:
            continue
        place = span(path, number, fields[3], fields[4], 1)
        names = transcript_ids(fields[8])
        if not names or fields[6] not in ("+", "-"):
            left_out[LEFT_OUT[0] if names else LEFT_OUT[1]].append(number)
            continue
        gene, level = gene_id(fields[8]), EVIDENCE_LEVEL.search(fields[8])
        for name in names:
            # A transcript id may stand on several contigs (chrX and chrY of the human genome), and
            # be that of several genes (unknown_transcript_1 of NCBI).
            key = (fields[0], fields[6], gene, name)
            parts.setdefault(key, {part: [] for part in FEATURES})[feature].append(place)
            if level:
                levels[key] = level[1]
    _name_genes(parts, levels)
    with_exons = {key for key, spans in parts.items() if spans["exon"]}
    coding_alone = [key for key in parts if key not in with_exons]
    for key in coding_alone:
        parts[key]["exon"] = parts[key]["CDS"]
    _warn(path, left_out, coding_alone)
    transcripts = [
        Transcript(
            contig=key[0],
            strand=key[1],
            gene=key[2],
            name=key[3],
            level=int(levels[key]) if key in levels else None,
            exons=tuple(sorted(set(spans["exon"]))),
            coding=tuple(sorted(set(spans["CDS"]))),
        )
        for key, spans in parts.items()
    ]
    if not transcripts:
        wrong = [f"{len(left_out[reason])} are {reason}" for reason in LEFT_OUT if left_out[reason]]
        raise InputError(
            f"{path} holds no exon line with a strand and a transcript"
            f"{' (' + ', '.join(wrong) + ')' if wrong else ''}: give a GTF or GFF3 file of "
            'transcripts, its lines with an attribute transcript_id "..." (GTF) or Parent=... '
            "(GFF3)."
        )
    return transcripts


def _warn(
    path: str | Path, left_out: Mapping[str, Sequence[int]], coding_alone: Sequence[tuple[str, ...]]
) -> None:
    for reason, numbers in left_out.items():
        if numbers:
            log.warning(
                "%s: %d exon and CDS lines are %s and are left out, the first is line %d.",
                path,
                len(numbers),
                reason,
                numbers[0],
            )
    if coding_alone:
        log.warning(
            "%s: %d transcripts have CDS lines and no exon line, the first is %s; their CDS are "
            "read as exons.",
            path,
            len(coding_alone),
            coding_alone[0][3],
        )


def feature_lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, the nine fields) of a GTF or GFF3 file, the contig without escapes.

    It ends at the sequences of a GFF3 file, also where no directive stands before them. Raises
    InputError with file and line for another number of fields.
    """
    for number, line in lines(path):
        if line.startswith(">"):
            return
        fields = line.split("\t")
        if len(fields) != 9:
            raise InputError(
                f"{path}:{number}: a GTF or GFF3 line has 9 columns between tabs, this one has "
                f"{len(fields)}: correct the line or give such a file."
            )
        if "%" in fields[0] and is_gff3(fields[8]):
            fields[0] = unquote(fields[0])
        yield number, fields


def _name_genes(
    parts: dict[tuple[str, ...], dict[str, list[tuple[int, int]]]],
    levels: dict[tuple[str, ...], str],
) -> None:
    """Move the spans of lines that name no gene, in place, to the gene of their transcript.

    Where lines of the transcript name several genes they stay as they are.
    """
    named: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key in parts:
        if key[2]:
            named.setdefault((key[0], key[1], key[3]), []).append(key)
    for key in [key for key in parts if not key[2]]:
        genes = named.get((key[0], key[1], key[3]), [])
        if len(genes) == 1:
            for feature, spans in parts.pop(key).items():
                parts[genes[0]][feature] += spans
            if key in levels:
                levels.setdefault(genes[0], levels.pop(key))


def splice_sites(transcripts: Iterable[Transcript], min_intron: int) -> pd.DataFrame:
    """Return the distinct splice sites: contig, position, strand, kind; sorted.

    Gaps between exons of fewer than `min_intron` bases are no introns: they mend frame shifts.
    `position` is the first (kind donor) or last (acceptor) base of an intron, 0-based. On the minus
    strand the intron's right end is its donor and its left end its acceptor.
    """
    rows: dict[str, list[Any]] = {key: [] for key in ("contig", "strand", "left", "right")}
    for transcript in transcripts:
        # Behind the furthest end so far: exons that overlap have no intron between them.
        reached = accumulate((end for _, end in transcript.exons), max)
        for left, (right, _) in zip(reached, transcript.exons[1:], strict=False):
            if right - left >= max(1, min_intron):
                rows["contig"].append(transcript.contig)
                rows["strand"].append(transcript.strand)
                rows["left"].append(left)
                rows["right"].append(right - 1)
    introns = pd.DataFrame(rows).drop_duplicates()
    forward = introns["strand"] == "+"
    ends = [
        introns.assign(position=introns["left"].where(towards, introns["right"]), kind=kind)
        for kind, towards in (("donor", forward), ("acceptor", ~forward))
    ]
    columns = ["contig", "position", "strand", "kind"]
    sites = pd.concat(ends)[columns].drop_duplicates().astype({"position": np.int64})
    return sites.sort_values(columns, ignore_index=True)


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
                # The frame: how many bases of the part belong to the codon begun before it.
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
