"""Tabulate the memory and the time that models are expected to take; no genome is read."""

from dnalm.jobs.job import job
from dnalm.training.estimates import write_estimates

with job(snakemake.log[0]):
    write_estimates(
        snakemake.input.runs,
        snakemake.params.operations,
        snakemake.params.corpora,
        snakemake.params.estimate,
        snakemake.output[0],
    )
