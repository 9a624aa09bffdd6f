"""Collect the scores of common variants, the reference of percentiles."""

from dnalm.jobs.job import job
from dnalm.variants.prioritisation.results import make_distribution

with job(snakemake.log[0]):
    make_distribution(snakemake.input.labels, snakemake.input.scores, snakemake.output.distribution)
