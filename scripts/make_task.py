"""Make the table of one task from its files, or from a genome and its annotation."""

from dnalm.benchmark.tasks.table import make_task, write_task
from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    table, summary = make_task(
        locate_inputs(snakemake.input, snakemake.params.downloads),
        snakemake.params.task,
        snakemake.params.name,
        snakemake.params.cross_validation,
    )
    write_task(table, summary, snakemake.output.table, snakemake.output.summary)
