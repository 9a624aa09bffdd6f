"""One transcript of each gene of a GTF or GFF3 file: the canonical one, by a rule that is named."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dnalm.errors import InputError
from dnalm.genome.annotation import FEATURE_NAMES, Transcript, feature_lines, read_gtf
from dnalm.genome.gene_attributes import gff3_value, is_gff3, parent_ids, transcript_ids
from dnalm.suggestions import check_choice, listing

LONGEST_CDS, TAG, FIRST = RULES = ("longest_cds", "tag", "first")
TAGS = re.compile(r'(?:^|;)\s*tag(?:=|\s+)"?([^";]+)')

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TaggedTranscript:
    """A transcript, and the values of the attribute `tag` of its lines, as MANE_Select."""

    transcript: Transcript
    tags: frozenset[str]


def read_transcripts(path: str | Path) -> list[TaggedTranscript]:
    """Return the transcripts of `read_gtf` with their tags, each with the gene that it is of.

    In GTF the gene is the attribute gene_id, in GFF3 the Parent of the transcript's own line; what
    has no parent there is its own gene. Transcripts without a gene, as those whose own line is not
    in a piece of a file, are left out and counted in a warning.

    Raises InputError as `read_gtf` does, and where no transcript has a gene.
    """
    genes: dict[str, str] = {}
    tags: dict[str, set[str]] = {}
    for _, fields in feature_lines(path):
        attributes = fields[8]
        own = gff3_value(attributes, "ID") if is_gff3(attributes) else ""
        if own and fields[2].lower() not in FEATURE_NAMES:
            genes.setdefault(own, next(iter(parent_ids(attributes)), own))
            names = [own]
        else:
            names = transcript_ids(attributes)
        for found in TAGS.findall(attributes):
            for name in names:
                tags.setdefault(name, set()).update(map(str.strip, found.split(",")))
    known = read_gtf(path)
    of_genes = [replace(one, gene=one.gene or genes.get(one.name, "")) for one in known]
    lost = [one.name for one in of_genes if not one.gene]
    if len(lost) == len(known):
        raise InputError(
            f"{path}: its {len(known):,} transcripts, the first {lost[0]}, belong to no gene, of "
            "which one transcript each is to be chosen: give their lines a gene_id (GTF), or each "
            "a line of its own with a Parent (GFF3)."
        )
    if lost:
        log.warning(
            "%s: %d transcripts belong to no gene and are left out, the first is %s.",
            *(path, len(lost), lost[0]),
        )
    return [
        TaggedTranscript(transcript=one, tags=frozenset(tags.get(one.name, ())))
        for one in of_genes
        if one.gene
    ]


def choose_canonical(
    transcripts: Iterable[TaggedTranscript],
    rule: str,
    preferred: Sequence[str],
    *,
    coding: bool,
    source: str | Path,
) -> tuple[list[Transcript], Counter[str]]:
    """Return one transcript of each gene, in the genes' order, and how many genes have none.

    longest_cds: the one with most coding bases, of equal ones that with most exonic bases, then the
    first. tag: the first with the first of the tags `preferred` that a transcript of the gene has;
    genes without are left out. first: the first of the file. With `coding` transcripts without a
    CDS are no candidates. A gene is one of its contig and strand.

    Raises InputError for another rule, and where no gene of `source` is left.
    """
    check_choice("canonical", rule, RULES)
    genes: dict[tuple[str, str, str], list[TaggedTranscript]] = {}
    for one in transcripts:
        key = (one.transcript.contig, one.transcript.strand, one.transcript.gene)
        genes.setdefault(key, []).append(one)
    left_out = Counter(genes_without_a_coding_transcript=0, genes_without_a_preferred_tag=0)
    chosen: list[Transcript] = []
    for own in genes.values():
        candidates = [one for one in own if one.transcript.coding or not coding]
        if not candidates:
            left_out["genes_without_a_coding_transcript"] += 1
        elif rule == FIRST:
            chosen.append(candidates[0].transcript)
        elif rule == LONGEST_CDS:
            chosen.append(max(candidates, key=_size).transcript)
        elif tagged := [one for tag in preferred for one in candidates if tag in one.tags]:
            chosen.append(tagged[0].transcript)
        else:
            left_out["genes_without_a_preferred_tag"] += 1
    if not chosen and left_out["genes_without_a_preferred_tag"]:
        there = sorted({tag for own in genes.values() for one in own for tag in one.tags})
        raise InputError(
            f"{source}: no transcript has a tag {listing(preferred)} (tags that are there: "
            f"{listing(there) or 'none'}): name one of them as build.canonical_tags, or set "
            "build.canonical to longest_cds."
        )
    if not chosen:
        raise InputError(
            f"{source}: none of its {len(genes):,} genes has a transcript with CDS lines: give a "
            "file with them, or set build.coding_genes to false."
        )
    return chosen, left_out


def _size(one: TaggedTranscript) -> tuple[int, int]:
    return _count_bases(one.transcript.coding), _count_bases(one.transcript.exons)


def _count_bases(spans: Iterable[tuple[int, int]]) -> int:
    """Return how many bases sorted spans cover; one in several of them counts once."""
    bases, reached = 0, 0
    for start, end in spans:
        bases += max(0, end - max(start, reached))
        reached = max(reached, end)
    return bases
