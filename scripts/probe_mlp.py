"""Train small networks on every layer, choose one on validation, score the test set."""

from pathlib import Path

from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.probing.saved import save_probe
from dnalm.benchmark.scoring.results import identify, write_result
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, output = snakemake.input, dict(snakemake.output.items())
    features, metadata = read_embeddings(source.embeddings, source.table)
    task = read_json(source.summary)
    config = MlpConfig(**snakemake.params.mlp)
    table = read_task(source.table)
    partial = Path(output["scores"]).parent / "partial" / snakemake.wildcards.task
    result = mlp_probe(features, table, task["kind"], config, snakemake.threads, partial)
    identity = identify(
        method="mlp",
        task=task,
        table_path=source.table,
        model=snakemake.wildcards.model,
        embeddings=metadata,
        weights_sha256=metadata["weights_sha256"],
    )
    save_probe(result, identity, task, metadata, source.run, output.pop("probe"))
    write_result(result, identity, partial=partial, **output)
