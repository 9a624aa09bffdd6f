"""Write tracks of the probabilities of a genome's own k-mers and bases."""

from dnalm.interpretation.likelihoods.tracks import write_tracks
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    write_tracks(dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.tracks)
