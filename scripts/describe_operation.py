"""Write down how one model is trained, which decides nothing about its weights."""

from dnalm.jobs.job import job
from dnalm.training.settings import Operation, write_settings

with job(snakemake.log[0]):
    Operation.from_dict(snakemake.params.operation)
    write_settings(snakemake.output[0], snakemake.params.operation)
