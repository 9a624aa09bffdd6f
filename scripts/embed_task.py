"""Pool every requested layer of one model over one task's sequences."""

from pathlib import Path

from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.shards import Embedding, embed_task
from dnalm.devices import visible_devices
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, params, output = snakemake.input, snakemake.params, snakemake.output.embeddings
    embedding = Embedding(
        run=source.run,
        weights=source.weights,
        table=source.table,
        config=EmbedConfig.for_task(params.embed | params.batches, params.task),
        threads=snakemake.threads,
    )
    partial = Path(output).parent / "partial" / snakemake.wildcards.task
    embed_task(embedding, output, partial, visible_devices())
