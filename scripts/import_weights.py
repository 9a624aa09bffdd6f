"""Bring published weights into the form of a model that was trained here."""

from dnalm.jobs.job import job
from dnalm.model.published_weights import describe_source, load_published
from dnalm.model.weights import save_weights
from dnalm.training.settings import write_settings

with job(snakemake.log[0]):
    run, files = snakemake.params.run, dict(snakemake.input.items())
    source = describe_source(snakemake.params.source, **files)
    save_weights(load_published(run, **files), snakemake.output.weights, {})
    write_settings(snakemake.output.run, {**run, "source": source})
