"""Fetch one file of the configuration, from the mirror or the network."""

from dnalm.download.download import download
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    download(
        **snakemake.params.download,
        destination=snakemake.output.file,
        # Not a parameter of the rule: where a file comes from must not fetch it again.
        mirror=snakemake.config["mirror"],
        lock_path=snakemake.params.lock,
    )
