"""Splice sites per base of the canonical transcripts of a GTF or GFF3 file, of any species."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.recipes.gene_blocks import cut_genes
from dnalm.benchmark.tasks.recipes.gene_table import Gene
from dnalm.benchmark.tasks.recipes.recipe import Files, Recipe
from dnalm.genome.annotation import Transcript
from dnalm.genome.canonical import choose_canonical, read_transcripts

log = logging.getLogger(__name__)


def cut_annotation(
    build: Mapping[str, Any], name: str, files: Files
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows and facts of `cut_genes` for one transcript of each gene.

    Which one `canonical` and `canonical_tags` say (`choose_canonical`), of genes with a coding
    transcript alone if `coding_genes`. Gaps between exons of fewer than `min_intron` bases are no
    introns. A file of this kind names no paralogs: no gene is dropped for one.

    Raises InputError as `cut_genes` and `choose_canonical` do.
    """
    genes, facts, gaps = [], Counter[str](), 0
    for path in files["annotation"]:
        chosen, left_out = choose_canonical(
            read_transcripts(path),
            build["canonical"],
            build["canonical_tags"],
            coding=build["coding_genes"],
            source=path,
        )
        facts.update(left_out)
        for transcript in chosen:
            gene = make_gene(transcript, build["min_intron"], path)
            genes.append(gene)
            gaps += len(make_gene(transcript, 1, path).exon_ends) - len(gene.exon_ends)
    for key, number in facts.items():
        if number:
            log.warning("%s: %s: %d", name, key.replace("_", " "), number)
    source = ", ".join(files["annotation"])
    table, found = cut_genes(genes, source, build, name, files)
    own = {"canonical": build["canonical"], **facts, "gaps_that_are_no_intron": gaps}
    return table, {**own, **found}


def make_gene(transcript: Transcript, min_intron: int, place: str) -> Gene:
    """Return a transcript as a line of SpliceAI's table would have it, 1-based exonic positions."""
    ends, starts, reached = [], [], transcript.exons[0][1]
    for start, end in transcript.exons[1:]:
        if start - reached >= max(1, min_intron):
            ends.append(reached)
            starts.append(start + 1)
        reached = max(reached, end)
    return Gene(
        name=transcript.name,
        paralog=False,
        contig=transcript.contig,
        strand=transcript.strand,
        start=transcript.exons[0][0] + 1,
        end=reached,
        exon_ends=tuple(ends),
        exon_starts=tuple(starts),
        place=place,
    )


SPLICE_ANNOTATION = Recipe(
    name="splice_annotation",
    source="annotation",
    format="GTF or GFF3",
    extra_files=(),
    keys=(
        *("block", "context", "labels_by_kind"),
        *("canonical", "canonical_tags", "coding_genes", "min_intron"),
    ),
    labels_by="labels_by_kind",
    placements=(),
    decoys=("none",),
    cut=cut_annotation,
)
