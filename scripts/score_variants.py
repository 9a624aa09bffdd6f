"""Score every variant of a VCF file with one model."""

from pathlib import Path

from dnalm.jobs.job import job
from dnalm.variants.run import score_entry

with job(snakemake.log[0]):
    score_entry(
        dict(snakemake.input.items()),
        snakemake.params.settings,
        dict(snakemake.output.items()),
        Path(snakemake.output.table).parent / "partial" / snakemake.wildcards.model,
        snakemake.threads,
    )
