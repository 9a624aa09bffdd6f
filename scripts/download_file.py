"""Fetch one file of the configuration, from the mirror or the network."""

from dnalm.genome.download import download
from dnalm.job import job

with job(snakemake.log[0]):
    download(
        **snakemake.params.download,
        destination=snakemake.output.file,
        mirror=snakemake.params.mirror,
        lock_path=snakemake.params.lock,
    )
