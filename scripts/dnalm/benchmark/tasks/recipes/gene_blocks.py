"""Blocks of transcripts with context on both sides, every base labelled, as SpliceAI has them."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.benchmark.tasks.recipes.contigs import list_contigs
from dnalm.benchmark.tasks.recipes.gene_table import Gene
from dnalm.benchmark.tasks.recipes.recipe import Files
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import N, reverse_complement, to_sequence
from dnalm.jobs.progress import Progress
from dnalm.suggestions import listing, nearest_first

TRANSCRIPT, DROP = "transcript", "drop"
# What follows a donor's base and precedes an acceptor's, on the strand of the transcript.
DONORS, ACCEPTORS = {"GT", "GC"}, {"AG"}
MIN_KNOWN_SITES, MIN_SHARE = 10, 0.5  # of sites between such bases; of another assembly 1 in 16 are

log = logging.getLogger(__name__)


def cut_genes(
    genes: Sequence[Gene], source: str, build: Mapping[str, Any], name: str, files: Files
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return windows of genes, training rows first, with the class of every base, and their facts.

    A transcript, introns included, is read in its own direction in blocks of `block` bases. A row
    is such a block with (length - block) / 2 bases on either side, of the genome or, with `context`
    transcript, N outside of the transcript, as in SpliceAI. The label of a block's base is that of
    `labels_by_kind` for the first (acceptor) or last (donor) base of an exon beside an intron, else
    0; a base that is both is an acceptor [unverified]. Bases beside the block, and behind the end
    of the transcript, have none.

    Genes on `test_contigs` are test rows, with `test_paralogs` drop those without a paralog alone.
    The table has the columns sequence, label (int8), split, provenance and group (the contig).
    `source` is what errors call the files of genes.

    Raises InputError for a length that leaves unequal sides, genes that are not of this genome or
    reach over what is stored of it, and sites most of which are not between the bases of splice
    sites.
    """
    flank = _flank(build, name)
    with closing(GenomeBases(files["bases"][0], files["contigs"][0])) as genome:
        contigs = list_contigs(build, name, list(dict.fromkeys(genome.contigs["contig"])))
        kept, facts = _choose(genes, genome, contigs, build, source)
        parts: dict[str, list[tuple[str, NDArray[np.int8], str, str]]] = {"train": [], "test": []}
        seen: Counter[str] = Counter()
        with Progress("cut genes", "genes", len(kept)) as progress:
            for gene in kept:
                split = "test" if gene.contig in build["test_contigs"] else "train"
                parts[split] += _windows(gene, genome, build, flank, seen, split)
                progress.advance(1)
    _check_sites(seen, build, source)
    table = pd.DataFrame(
        [(*row[:2], split, *row[2:]) for split, rows in parts.items() for row in rows],
        columns=["sequence", "label", "split", "provenance", "group"],
    )
    facts |= {key: int(number) for key, number in sorted(seen.items())}
    for key, number in facts.items():
        log.info("%s: %s: %s", name, key, f"{number:,}")
    names = ["none", *sorted(build["labels_by_kind"], key=build["labels_by_kind"].get)]
    return table, {
        "genome": build["genome"],
        "recipe": build["recipe"],
        "names": names,
        **facts,
    }


def _flank(build: Mapping[str, Any], name: str) -> int:
    flank, odd = divmod(build["length"] - build["block"], 2)
    if odd or flank < 0:
        raise InputError(
            f"Task {name} has build.length {build['length']} and build.block {build['block']}: the "
            "context on both sides of a block has to be of equal length; change one of them by an "
            "odd number, or make the length the larger one."
        )
    return flank


def _choose(
    genes: Sequence[Gene],
    genome: GenomeBases,
    contigs: Sequence[str],
    build: Mapping[str, Any],
    source: str,
) -> tuple[list[Gene], dict[str, int]]:
    """Return the genes to use, and how many are left out for which reason."""
    # A file that is named twice, or a whole one beside a part of it.
    once = list({replace(gene, place=""): gene for gene in reversed(genes)}.values())[::-1]
    if repeated := len(genes) - len(once):
        log.warning("%s: %d genes are there twice and are read once.", source, repeated)
    here = [gene for gene in once if gene.contig in contigs]
    if not here:
        found = sorted({gene.contig for gene in once})
        raise InputError(
            f"{source} names no gene on the contigs of genome {build['genome']}: its {len(once):,}"
            f" genes are on {listing(found)}, the contigs are "
            f"{listing(nearest_first(found[0], contigs))}: give both the same names (`contigs` of "
            "the genome renames its records)."
        )
    pieces = {
        contig: [(int(r.start), int(r.start + r.length)) for r in rows.itertuples()]
        for contig, rows in genome.contigs.groupby("contig", sort=False)
    }

    def is_stored(gene: Gene) -> bool:
        places = pieces[gene.contig]
        return any(first < gene.start and gene.end <= last for first, last in places)

    stored = [gene for gene in here if is_stored(gene)]
    if len(stored) < len(here) and build["outside"] != DROP:
        lost = next(gene for gene in here if not is_stored(gene))
        raise InputError(
            f"{lost.place}: {lost.name} at {lost.contig}:{lost.start}-{lost.end} reaches over what "
            f"is stored of genome {build['genome']}, as {len(here) - len(stored):,} of "
            f"{len(here):,} genes do: give the table of this assembly, or set build.outside: drop "
            "if only a part of the contig is stored."
        )

    def is_dropped(gene: Gene) -> bool:
        tested = gene.contig in build["test_contigs"]
        return tested and gene.paralog and build["test_paralogs"] == DROP

    kept = [gene for gene in stored if not is_dropped(gene)]
    if joined := sum(gene.joined for gene in kept):
        log.warning("%s: %d introns have no bases: their exons are read as one.", source, joined)
    # Published tables are not refused for one gene: each intron says by itself where it is spliced.
    if overlapping := sum(gene.overlapping for gene in kept):
        first = next(gene for gene in kept if gene.overlapping)
        log.warning(
            "%s: %d introns begin before the one before them ends, the first of gene %s (%s): are "
            "its exons sorted by position? Their sites are labelled as they stand.",
            source,
            overlapping,
            first.name,
            first.place,
        )
    # Which genes have one is known of a table alone.
    paralogs = {"test_genes_with_paralog_dropped": len(stored) - len(kept)}
    return kept, {
        "genes": len(genes),
        **({"genes_repeated": repeated} if repeated else {}),
        "genes_on_other_contigs": len(once) - len(here),
        "genes_outside": len(here) - len(stored),
        **(paralogs if "test_paralogs" in build else {}),
        "genes_kept": len(kept),
        **({"introns_of_no_bases": joined} if joined else {}),
        **({"introns_that_overlap": overlapping} if overlapping else {}),
    }


def _windows(
    gene: Gene,
    genome: GenomeBases,
    build: Mapping[str, Any],
    flank: int,
    seen: Counter[str],
    split: str,
) -> Iterator[tuple[str, NDArray[np.int8], str, str]]:
    """Yield sequence, labels, provenance and contig of a gene's windows, and count in `seen`."""
    block, length = build["block"], build["length"]
    blocks = -(-gene.bases // block)
    padded = blocks * block
    # Offsets count from the first base of the transcript, on its strand; codes from `flank` before.
    # A base in front of the contig, or of what is stored of it, is an N.
    first, last = -flank, padded + flank
    left = gene.start - 1 + first if gene.strand == "+" else gene.end - last
    codes = _read(genome, gene, left, left + last - first)
    if gene.strand == "-":
        codes = reverse_complement(codes)
    classes = np.full(len(codes), NO_LABEL, dtype=np.int8)
    of_gene = slice(flank, flank + gene.bases)
    seen[f"{split}_bases_n"] += int((codes[of_gene] == N).sum())
    if build["context"] == TRANSCRIPT:
        codes[:flank], codes[flank + gene.bases :] = N, N
    inside = classes[of_gene]
    inside[:] = 0
    inside[gene.donors] = build["labels_by_kind"]["donor"]
    inside[gene.acceptors] = build["labels_by_kind"]["acceptor"]
    _count_sites(gene, codes[of_gene], seen, split)
    seen[f"{split}_windows"] += blocks
    seen[f"{split}_bases"] += gene.bases
    for start in range(0, padded, block):
        labels = np.full(length, NO_LABEL, dtype=np.int8)
        labels[flank : flank + block] = classes[flank + start : flank + start + block]
        seen[f"{split}_windows_without_site"] += not (labels > 0).any()
        place = left + start if gene.strand == "+" else left + padded - block - start
        yield (
            to_sequence(codes[start : start + length]),
            labels,
            f"{gene.contig}:{place}-{place + length}({gene.strand})",
            gene.contig,
        )


def _read(genome: GenomeBases, gene: Gene, start: int, end: int) -> NDArray[np.uint8]:
    """Return the bases around a gene; what is not stored is N."""
    codes = np.full(end - start, N, dtype=np.uint8)
    for row in genome.contigs[genome.contigs["contig"] == gene.contig].itertuples():
        first, last = max(start, row.start), min(end, row.start + row.length)
        if first < last:
            read = genome.read_absolute(gene.contig, int(first), int(last))
            codes[first - start : last - start] = read
    return codes


def _count_sites(gene: Gene, codes: NDArray[np.uint8], seen: Counter[str], split: str) -> None:
    """Count a gene's sites, and how many lie beside the bases of splice sites."""
    text = to_sequence(codes)
    seen[f"{split}_donors"] += len(set(gene.donors) - set(gene.acceptors))
    seen[f"{split}_acceptors"] += len(set(gene.acceptors))
    seen["sites_outside_of_their_transcript"] += gene.outside
    donors = [text[site + 1 : site + 3] in DONORS for site in gene.donors]
    acceptors = [text[max(site - 2, 0) : site] in ACCEPTORS for site in gene.acceptors]
    seen["sites"] += len(donors) + len(acceptors)
    seen["donors_before_gt_or_gc"] += sum(donors)
    seen["acceptors_behind_ag"] += sum(acceptors)


def _check_sites(seen: Mapping[str, int], build: Mapping[str, Any], source: str) -> None:
    known = seen["donors_before_gt_or_gc"] + seen["acceptors_behind_ag"]
    if seen["sites"] >= MIN_KNOWN_SITES and known < MIN_SHARE * seen["sites"]:
        raise InputError(
            f"{source}: of its {seen['sites']:,} splice sites in genome {build['genome']} "
            f"{known:,} are beside GT, GC or AG: the coordinates are of another assembly, or do "
            "not count from 1; give the genes of this one."
        )
