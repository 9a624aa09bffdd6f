"""Predict every sequence of a file, or every interval of a genome, with a trained classifier."""

from dnalm.benchmark.prediction.entry import predict_entry
from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = snakemake.params.prediction | snakemake.params.batches
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    predict_entry(
        files,
        settings,
        snakemake.params.asked,
        dict(snakemake.output.items()),
        snakemake.threads,
    )
