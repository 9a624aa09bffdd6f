"""Test how much of each head's attention falls on each element."""

from dnalm.interpretation.attention import compare_heads_of
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    compare_heads_of(
        dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.heads
    )
