"""Score what needs no language model on a task of bases: class shares, position weight matrices."""

from dnalm.benchmark.probing.per_base import score_bases
from dnalm.benchmark.scoring.results import identify, write_result
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, name = snakemake.input, snakemake.wildcards.baseline
    task = read_json(source.summary)
    settings = snakemake.params.baselines
    result = score_bases(name, settings, read_task(source.table), task["kind"])
    identity = identify(method="baseline", task=task, table_path=source.table, baseline=name)
    write_result(result, identity, **snakemake.output)
