"""Fetch what a model or a task needs of a hub's repository, from the mirror or the network."""

from dnalm.download.snapshot import fetch
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    fetch(
        snakemake.params.repository,
        sha256=snakemake.params.sha256,
        folder=snakemake.params.folder,
        # Not a parameter of the rule: where a file comes from must not fetch it again.
        mirror=snakemake.config["mirror"],
        lock_path=snakemake.params.lock,
        listing=snakemake.output.listing,
    )
