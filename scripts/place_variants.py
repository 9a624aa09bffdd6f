"""Find the percentile of the scores of variants among common ones."""

from dnalm.jobs.job import job
from dnalm.variants.prioritisation.results import place_variants

with job(snakemake.log[0]):
    place_variants(
        snakemake.input.labels,
        snakemake.input.scores,
        snakemake.input.distribution,
        snakemake.params.min_reference,
        snakemake.output.percentiles,
    )
