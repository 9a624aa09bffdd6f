"""Score what needs no language model: the majority class, GC content, k-mers, bases, ids."""

from pathlib import Path

from dnalm.benchmark.probing.linear.probe import ProbeConfig
from dnalm.benchmark.probing.task_baselines import score_baselines, write_baselines
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, params, output = snakemake.input, snakemake.params, snakemake.output
    task = read_json(source.summary)
    partial = Path(output.scores[0]).parents[1] / "partial" / snakemake.wildcards.task
    results = score_baselines(
        params.names,
        params.baselines,
        read_task(source.table),
        task["kind"],
        ProbeConfig(**params.probe),
        threads=snakemake.threads,
        partial=partial,
    )
    write_baselines(results, task, source.table, partial=partial, **output)
