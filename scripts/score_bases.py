"""Score what needs no language model on a task of bases: class shares, position weight matrices."""

from pathlib import Path

from dnalm.benchmark.probing.task_baselines import score_base_baselines, write_baselines
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    task, table = read_json(source.summary), read_task(source.table)
    partial = Path(snakemake.output.scores[0]).parents[1] / "partial" / snakemake.wildcards.task
    kind = task["kind"]
    results = score_base_baselines(params.names, params.baselines, table, kind, partial)
    write_baselines(results, task, source.table, partial=partial, **snakemake.output)
