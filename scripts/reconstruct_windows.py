"""Predict masked tokens of the windows of an annotation."""

from dnalm.interpretation.reconstruct import reconstruct_windows
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    reconstruct_windows(
        dict(snakemake.input.items()), snakemake.params.settings, dict(snakemake.output.items())
    )
