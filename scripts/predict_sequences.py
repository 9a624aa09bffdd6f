"""Predict every sequence of a file, or every interval of a genome, with a trained classifier."""

from dnalm.benchmark.prediction.entry import predict_entry
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    predict_entry(
        dict(snakemake.input.items()),
        snakemake.params.prediction,
        snakemake.params.asked,
        dict(snakemake.output.items()),
        snakemake.threads,
    )
