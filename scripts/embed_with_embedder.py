"""Pool every requested layer of a model that is not ours over one task's sequences."""

from pathlib import Path

from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.embedders import EmbedderEmbedding
from dnalm.benchmark.embedding.shards import embed_task
from dnalm.devices import visible_devices
from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    source, params, output = snakemake.input, snakemake.params, snakemake.output.embeddings
    embedding = EmbedderEmbedding(
        entry=locate_embedder(params.embedder, locate_inputs(source, params.downloads)),
        described=source.described,
        table=source.table,
        config=EmbedConfig.for_task(params.embed | params.batches, params.task),
        threads=snakemake.threads,
        rights=params.rights,
    )
    partial = Path(output).parent / "partial" / snakemake.wildcards.task
    embed_task(embedding, output, partial, visible_devices())
