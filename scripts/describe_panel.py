"""Join what the contigs of a panel hold, and the populations of its samples."""

from dnalm.genome.haplotypes.panel import describe_panel
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    describe_panel(
        snakemake.wildcards.panel,
        snakemake.input.stores,
        next(iter(snakemake.input.populations), None),
        genome=snakemake.params.genome,
        manifest=snakemake.output.manifest,
        samples=snakemake.output.samples,
    )
