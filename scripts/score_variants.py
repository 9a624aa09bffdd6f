"""Score every variant of a VCF file with one model."""

from pathlib import Path

from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder
from dnalm.variants.run import score_entry

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = snakemake.params.settings | snakemake.params.batches
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    score_entry(
        files,
        settings,
        dict(snakemake.output.items()),
        Path(snakemake.output.table).parent / "partial" / snakemake.wildcards.model,
        snakemake.threads,
    )
