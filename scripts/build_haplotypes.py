"""Store which variants every haplotype of one contig carries."""

from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.build import build_haplotypes
from dnalm.genome.haplotypes.placing import PanelConfig
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    build_haplotypes(
        PanelConfig(**snakemake.params.panel),
        variants=snakemake.input.variants,
        index=snakemake.input.index or None,
        genome=GenomeBases(snakemake.input.bases, snakemake.input.contigs),
        contig=snakemake.wildcards.contig,
        folder=snakemake.output.store,
    )
