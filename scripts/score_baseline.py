"""Score what needs no language model: the majority class, GC content, k-mers, bases, ids."""

from pathlib import Path

from dnalm.benchmark.probing.baselines import baseline_features
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.scoring.results import identify, write_result
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, name = snakemake.input, snakemake.wildcards.baseline
    table = read_task(source.table)
    features = baseline_features(name, snakemake.params.baselines, table["sequence"])
    task = read_json(source.summary)
    config = ProbeConfig(**snakemake.params.probe)
    partial = Path(snakemake.output.scores).parent / "partial" / snakemake.wildcards.task
    result = probe(features, table, task["kind"], config, snakemake.threads, partial)
    identity = identify(method="baseline", task=task, table_path=source.table, baseline=name)
    write_result(result, identity, partial=partial, **snakemake.output)
