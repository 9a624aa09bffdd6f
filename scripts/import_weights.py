"""Bring published weights into the form of a model that was trained here."""

from dnalm.download.listings import locate_inputs, read_commit
from dnalm.jobs.job import job
from dnalm.model.known_prediction import check_prediction
from dnalm.model.published_weights import describe_source, load_published
from dnalm.model.weights import save_weights
from dnalm.training.settings import write_settings

with job(snakemake.log[0]):
    run, params = snakemake.params.run, snakemake.params
    files = locate_inputs(snakemake.input, params.downloads)
    source = describe_source(params.source, commit=read_commit(snakemake.input), **files)
    encoder = load_published(run, **files)
    known = check_prediction(encoder, run, params.known)
    save_weights(encoder, snakemake.output.weights, {})
    write_settings(snakemake.output.run, {**run, "source": {**source, **known}})
