"""Write tracks of the probabilities of a genome's own tokens and bases."""

from dnalm.download.listings import locate_inputs
from dnalm.interpretation.likelihoods.tracks import write_tracks
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = dict(snakemake.params.settings)
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    write_tracks(files, settings, snakemake.output.tracks)
