"""Clean one genome's FASTA file and store its bases."""

from dnalm.genome.bases import write_bases
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    write_bases(
        snakemake.input.source,
        name=snakemake.wildcards.genome,
        config=snakemake.params.genome,
        bases=snakemake.output.bases,
        contigs=snakemake.output.contigs,
        manifest=snakemake.output.manifest,
    )
