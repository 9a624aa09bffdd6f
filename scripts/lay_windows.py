"""Lay the windows of an annotation."""

from dnalm.interpretation.annotated import lay_windows
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    lay_windows(dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.windows)
