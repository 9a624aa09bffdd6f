"""Simulate a genome with genes, promoters and enhancers."""

from dnalm.genome.simulation.simulate import SimulateConfig, simulate_genome, write_simulated
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    write_simulated(
        simulate_genome(SimulateConfig(**snakemake.params.simulate)),
        snakemake.output.fasta,
        snakemake.output.annotation,
        snakemake.output.promoters,
        snakemake.output.enhancers,
        snakemake.output.clusters,
    )
