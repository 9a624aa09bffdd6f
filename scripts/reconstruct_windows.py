"""Predict masked tokens of the windows of an annotation."""

from dnalm.download.listings import locate_inputs
from dnalm.interpretation.reconstruct import reconstruct_windows
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = dict(snakemake.params.settings)
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    reconstruct_windows(files, settings, dict(snakemake.output.items()))
