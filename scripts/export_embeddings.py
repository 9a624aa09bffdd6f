"""Write the embeddings of a task for other programs."""

from dnalm.benchmark.embedding.export import export_embeddings
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source = snakemake.input
    export_embeddings(source.embeddings, source.table, snakemake.output.exported)
