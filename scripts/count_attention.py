"""Count how often the attention of every head exceeds the thresholds."""

from dnalm.interpretation.attention import count_attention_of
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    count_attention_of(
        dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.counts
    )
