"""Copy a download into the mirror."""

from dnalm.download.download import copy_file
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    copy_file(snakemake.input.file, snakemake.output.mirrored)
