"""Score the labelled variants of a set by probes that have not seen their chromosome."""

from dnalm.jobs.job import job
from dnalm.variants.prioritisation.results import supervise
from dnalm.variants.prioritisation.supervised import SupervisedConfig

with job(snakemake.log[0]):
    supervise(
        snakemake.input.labels,
        snakemake.input.scores,
        snakemake.input.features,
        SupervisedConfig(**snakemake.params.supervised),
        snakemake.output.scores,
    )
