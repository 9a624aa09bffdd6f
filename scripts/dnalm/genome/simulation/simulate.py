"""Simulation of a small genome with genes, promoters and enhancers.

It lets the whole workflow run without a network. Elements are placed in random order and on random
strands along each contig, with background between them. Coordinates are 0-based and half-open. No
source: our choice.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.annotation import Transcript, write_gtf, write_text
from dnalm.genome.intervals import Interval, write_bed
from dnalm.genome.kmers import reverse_complement, to_codes, to_sequence
from dnalm.genome.simulation.grammar import (
    CLUSTER_BASES,
    CLUSTER_SITES,
    ENHANCER_BASES,
    UPSTREAM,
    Codes,
    Grammar,
)
from dnalm.jobs.progress import Progress

N = int(to_codes("N")[0])
ISOCHORE_BASES = 50_000
ISOCHORE_GC = (0.36, 0.56)
LONER_BASES = 60
GAP_BASES = (200, 2_000)
ISLAND_BASES = (200, 350)
MAX_ELEMENT_SHARE = 0.95  # of a contig's bases
SOURCE = "simulated"
FASTA_LINE = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """A simulated genome: contig lengths in bases, densities per million bases, shares 0 .. 1."""

    contigs: Mapping[str, int]
    seed: int
    genes_per_mb: float
    enhancers_per_mb: float
    inactive_enhancers_per_mb: float
    islands_per_mb: float
    loners_per_mb: float
    repeats_per_mb: float
    gaps_per_mb: float
    tata_share: float
    island_share: float
    motif_fidelity: float
    clusters_per_mb: float = 0.0
    cluster_occupancy: float = 0.8


@dataclass(kw_only=True)
class SimulatedGenome:
    """A simulated genome; `contigs` are sequences with repeats in lower case."""

    contigs: dict[str, str] = field(default_factory=dict)
    transcripts: list[Transcript] = field(default_factory=list)
    promoters: list[Interval] = field(default_factory=list)
    enhancers: list[Interval] = field(default_factory=list)
    clusters: list[Interval] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Element:
    """An element of a contig: paints `length` base codes, then notes its place."""

    length: int
    paint: Callable[[Codes], Any]
    note: Callable[[Any, int, str], None]
    masked: bool


def simulate_genome(config: SimulateConfig) -> SimulatedGenome:
    """Return the simulated genome, the same for the same config on every machine.

    Promoters are the single bases at which transcription starts, named `<gene>_TATA` or
    `<gene>_noTATA`; enhancers carry no direction. Clusters of sites of one factor are named
    `<contig>_cluster_<number>_<factor>` and read along their strand.

    Raises InputError when a contig is too short for the densities.
    """
    grammar = Grammar(np.random.default_rng(config.seed), config.motif_fidelity)
    genome = SimulatedGenome()
    with Progress("simulate", "bases", sum(config.contigs.values())) as progress:
        for contig, length in config.contigs.items():
            genome.contigs[contig] = _contig(contig, length, config, grammar, genome)
            progress.advance(length)
    for records in (genome.transcripts, genome.promoters, genome.enhancers, genome.clusters):
        records.sort(key=lambda record: (list(config.contigs).index(record.contig), _left(record)))
    return genome


def _left(record: Transcript | Interval) -> int:
    return record.start if isinstance(record, Interval) else record.exons[0][0]


def _contig(
    contig: str, length: int, config: SimulateConfig, grammar: Grammar, genome: SimulatedGenome
) -> str:
    """Return one contig's sequence and add its elements to `genome`."""
    random = grammar.random
    isochores = random.uniform(*ISOCHORE_GC, size=max(1, length // ISOCHORE_BASES))
    codes = grammar.background(isochores, length)
    elements = _elements(contig, length, config, grammar, genome)
    slack = length - sum(element.length for element in elements)
    if slack < (1 - MAX_ELEMENT_SHARE) * length:
        raise InputError(
            f"simulate: the elements of contig {contig} take {length - slack} of its {length} "
            "bases: lower genes_per_mb and the other densities, or make the contig longer."
        )
    cuts = np.sort(random.integers(slack + 1, size=len(elements)))
    masked = np.zeros(length, dtype=bool)
    at, filled = 0, 0
    for i, cut in zip(random.permutation(len(elements)), cuts, strict=True):
        element = elements[i]
        at, filled = at + int(cut) - filled, int(cut)
        piece = codes[at : at + element.length]
        strand = "+-"[int(random.integers(2))]
        painted = piece.copy() if strand == "+" else reverse_complement(piece)
        result = element.paint(painted)
        piece[:] = painted if strand == "+" else reverse_complement(painted)
        masked[at : at + element.length] = element.masked
        element.note(result, at, strand)
        at += element.length
    letters = np.frombuffer(to_sequence(codes).encode(), dtype=np.uint8)
    return (
        np.where(masked & (codes != N), letters | 32, letters).astype(np.uint8).tobytes().decode()
    )


def _elements(
    contig: str, length: int, config: SimulateConfig, grammar: Grammar, genome: SimulatedGenome
) -> list[_Element]:
    """Return all elements of a contig, in the order of their kinds."""
    random = grammar.random

    def several(per_mb: float, make: Callable[[], _Element]) -> list[_Element]:
        return [make() for _ in range(round(per_mb * length / 1e6))]

    def plain(size: int, paint: Callable[[Codes], Any], masked: bool = False) -> _Element:
        return _Element(length=size, paint=paint, note=lambda *_: None, masked=masked)

    def gene() -> _Element:
        exons, introns = grammar.gene_lengths()
        tata = random.random() < config.tata_share
        # Fewer islands at TATA boxes, as in vertebrates.
        island = random.random() < config.island_share * (0.5 if tata else 1)
        size = UPSTREAM + sum(exons) + sum(introns)
        return _Element(
            length=size,
            paint=lambda codes: grammar.gene(codes, exons, introns, tata, island),
            note=lambda made, at, strand: _note_gene(genome, contig, made, at, size, strand),
            masked=False,
        )

    def enhancer() -> _Element:
        size = int(random.integers(*ENHANCER_BASES))
        return _Element(
            length=size,
            paint=lambda codes: grammar.enhancer(codes, active=True),
            note=lambda _, at, __: genome.enhancers.append(
                Interval(
                    contig=contig,
                    start=at,
                    end=at + size,
                    name=f"{contig}_enhancer_{len(genome.enhancers) + 1}",
                    strand=".",
                )
            ),
            masked=False,
        )

    def inactive() -> _Element:
        size = int(random.integers(*ENHANCER_BASES))
        return plain(size, lambda codes: grammar.enhancer(codes, active=False))

    def cluster() -> _Element:
        size = int(random.integers(*CLUSTER_BASES))
        factor = list(CLUSTER_SITES)[int(random.integers(len(CLUSTER_SITES)))]
        return _Element(
            length=size,
            paint=lambda codes: grammar.cluster(codes, factor, config.cluster_occupancy),
            note=lambda _, at, strand: genome.clusters.append(
                Interval(
                    contig=contig,
                    start=at,
                    end=at + size,
                    name=f"{contig}_cluster_{len(genome.clusters) + 1}_{factor}",
                    strand=strand,
                )
            ),
            masked=False,
        )

    def repeat() -> _Element:
        copy = grammar.repeat()
        return plain(len(copy), lambda codes: np.copyto(codes, copy), masked=True)

    def gap() -> _Element:
        return plain(int(random.integers(*GAP_BASES)), lambda codes: codes.fill(N))

    return [
        *several(config.genes_per_mb, gene),
        *several(config.enhancers_per_mb, enhancer),
        *several(config.inactive_enhancers_per_mb, inactive),
        *several(
            config.islands_per_mb,
            lambda: plain(int(random.integers(*ISLAND_BASES)), grammar.island),
        ),
        *several(config.loners_per_mb, lambda: plain(LONER_BASES, grammar.loner)),
        *several(config.repeats_per_mb, repeat),
        *several(config.gaps_per_mb, gap),
        *several(config.clusters_per_mb, cluster),
    ]


def _note_gene(
    genome: SimulatedGenome, contig: str, gene: Any, at: int, size: int, strand: str
) -> None:
    """Add a painted gene's transcript and start, in the contig's coordinates."""

    def placed(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        if strand == "+":
            return tuple((at + start, at + end) for start, end in spans)
        return tuple((at + size - end, at + size - start) for start, end in reversed(spans))

    name = f"{contig}_gene_{len(genome.transcripts) + 1}"
    genome.transcripts.append(
        Transcript(
            contig=contig,
            strand=strand,
            gene=name,
            name=f"{name}.1",
            level=None,
            exons=placed(gene.exons),
            coding=placed(gene.coding),
        )
    )
    ((start, end),) = placed(((gene.start, gene.start + 1),))
    kind = "TATA" if gene.tata else "noTATA"
    genome.promoters.append(
        Interval(contig=contig, start=start, end=end, name=f"{name}_{kind}", strand=strand)
    )


def write_simulated(
    genome: SimulatedGenome,
    fasta: str | Path,
    annotation: str | Path,
    promoters: str | Path,
    enhancers: str | Path,
    clusters: str | Path,
) -> None:
    """Write the genome as FASTA, its genes as GTF, promoters, enhancers and clusters as BED.

    A name that ends in .gz is compressed; equal genomes give equal bytes.
    """
    with write_text(fasta) as file:
        for name, sequence in genome.contigs.items():
            file.write(f">{name}\n")
            for start in range(0, len(sequence), FASTA_LINE):
                file.write(sequence[start : start + FASTA_LINE] + "\n")
    write_gtf(genome.transcripts, SOURCE, annotation)
    write_bed(genome.promoters, promoters)
    write_bed(genome.enhancers, enhancers)
    write_bed(genome.clusters, clusters)
    log.info(
        "simulated %d contigs with %d genes, %d enhancers and %d clusters",
        *(len(genome.contigs), len(genome.transcripts)),
        *(len(genome.enhancers), len(genome.clusters)),
    )
