"""Write a table of variant scores as tab-separated text."""

from dnalm.jobs.job import job
from dnalm.variants.tables import write_text

with job(snakemake.log[0]):
    write_text(snakemake.input.table, snakemake.output.text)
