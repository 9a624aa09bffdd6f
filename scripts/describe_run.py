"""Write down all that decides the weights of one model."""

from dnalm.jobs.job import job
from dnalm.training.settings import Run, write_settings

with job(snakemake.log[0]):
    Run.from_dict(snakemake.params.run)
    write_settings(snakemake.output[0], snakemake.params.run)
