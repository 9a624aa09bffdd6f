"""Pool every requested layer of one model over one task's sequences."""

from dnalm.benchmark.embed import choose_pooling, embed_table, write_embeddings
from dnalm.benchmark.models import load_model
from dnalm.benchmark.tasks import read_task
from dnalm.job import job

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    encoder, vocabulary = load_model(source.run, source.weights)
    table = read_task(source.table)
    write_embeddings(
        embed_table(encoder, vocabulary, table, params.embed, params.task),
        snakemake.output.embeddings,
        weights=source.weights,
        table=source.table,
        pooling=choose_pooling(params.task, params.embed["pooling"]),
    )
