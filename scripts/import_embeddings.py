"""Bring embeddings of another program into the order of a task's rows."""

from dnalm.benchmark.embedding.foreign import import_embeddings
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source = snakemake.input
    import_embeddings(source.embeddings, source.table, snakemake.output.embeddings)
