"""Rates of genomes on this machine: the search of rows in them, and haplotypes of a panel."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from dnalm.benchmark.audit.genome_search import LONG_OPTIONS
from dnalm.benchmark.audit.minimap2 import align
from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.haplotypes.build import build_haplotypes
from dnalm.genome.haplotypes.placing import PanelConfig
from dnalm.genome.kmers import to_sequence
from dnalm.report.estimates.clock import processor_seconds

CONTIG = "invented"
INDEXED_BASES = 8_000_000
ROWS, ROW_BASES, MISMATCHES = 2000, 600, 12  # a quarter of the rows has a place
CONTIG_BASES = 300_000
RECORDS, FEW_RECORDS = 1200, 10
CARRIERS = 0.02  # share of genotypes that carry an allele, about that of 1000 Genomes


@cache
def measure_search() -> tuple[float, float]:
    """Return two rates of minimap2: bases of genomes indexed, bases of rows mapped to a part.

    On random bases. Repeats of real genomes make the second one slower: by how much depends on the
    rows.
    """
    random = np.random.default_rng(0)
    genome = random.integers(0, 4, INDEXED_BASES, dtype=np.uint8)
    planted = [
        _mutate(genome[start : start + ROW_BASES], random)
        for start in random.integers(0, INDEXED_BASES - ROW_BASES, ROWS // 4)
    ]
    others = random.integers(0, 4, (ROWS - len(planted), ROW_BASES), dtype=np.uint8)
    seconds = [_time_search(genome, rows) for rows in ([], planted[:1], [*planted, *others])]
    start, index, both = seconds
    indexed = INDEXED_BASES / max(index - start, 0.01)
    return indexed, ROWS * ROW_BASES / max(both - index, 0.01)


def _time_search(genome: np.ndarray, rows: list[np.ndarray]) -> float:
    """Return the processor seconds of a search; without rows, that of one that indexes nothing."""
    with tempfile.TemporaryDirectory(prefix="dnalm-estimate-") as folder:
        queries = Path(folder) / "rows.fasta"
        text = [f">{number}\n{to_sequence(row)}\n" for number, row in enumerate(rows)]
        queries.write_text("".join(text) or ">0\nACGTACGTACGTACGTACGTACGT\n")
        codes = genome if rows else genome[:1000]
        target = [f">{CONTIG}\n{to_sequence(codes)}\n".encode()]
        began = processor_seconds()
        list(align(queries, target, options=LONG_OPTIONS, index_bases=INDEXED_BASES, threads=1))
        return processor_seconds() - began


def _mutate(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    copy = codes.copy()
    places = random.integers(0, len(copy), MISMATCHES)
    copy[places] = (copy[places] + 1) % 4
    return copy


def measure_haplotypes(samples: int) -> float:
    """Return the genotypes per processor second of building a contig's store, phased SNVs."""
    _time_build(samples, FEW_RECORDS)  # compiles what is compiled
    return RECORDS * samples / max(_time_build(samples, RECORDS), 0.01)


def _time_build(samples: int, records: int) -> float:
    random = np.random.default_rng(0)
    sequence = to_sequence(random.integers(0, 4, CONTIG_BASES, dtype=np.uint8))
    with tempfile.TemporaryDirectory(prefix="dnalm-estimate-") as name:
        folder = Path(name)
        fasta, variants = folder / "genome.fa", folder / "variants.vcf"
        fasta.write_text(f">{CONTIG}\n{sequence}\n")
        _write_variants(variants, sequence, samples, records, random)
        files = {part: folder / part for part in ("bases", "contigs", "manifest")}
        write_bases(fasta, name=CONTIG, config={}, **files)
        panel = PanelConfig(
            samples=None,
            unphased="refuse",
            symbolic_deletions="reference",
            largest_mismatch=0.0,
        )
        genome = GenomeBases(files["bases"], files["contigs"])
        began = processor_seconds()
        build_haplotypes(
            panel,
            variants=variants,
            index=None,
            genome=genome,
            contig=CONTIG,
            folder=folder / "store",
        )
        took = processor_seconds() - began
        genome.close()
    return took


def _write_variants(
    path: Path, sequence: str, samples: int, records: int, random: np.random.Generator
) -> None:
    names = "\t".join(f"S{number}" for number in range(samples))
    head = (
        f"##fileformat=VCFv4.2\n##contig=<ID={CONTIG},length={CONTIG_BASES}>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    )
    places = np.sort(random.choice(CONTIG_BASES, records, replace=False)).tolist()
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    with open(path, "w", encoding="ascii") as file:
        file.write(head)
        for place in places:
            carried = (random.random((samples, 2)) < CARRIERS).astype(int).tolist()
            calls = "\t".join(f"{first}|{second}" for first, second in carried)
            base = sequence[place]
            file.write(
                f"{CONTIG}\t{place + 1}\t.\t{base}\t{other[base]}\t.\tPASS\t.\tGT\t{calls}\n"
            )
