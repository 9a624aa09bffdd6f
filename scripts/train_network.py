"""Train a network from scratch on all folds of one task and score it."""

from pathlib import Path

from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.methods import BASELINE

with job(snakemake.log[0]):
    # No parameter of the rule: what decides nothing but the time makes no result out of date.
    operation = Operation.of(snakemake.config["finetune"]["operation"], None)
    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    task = read_json(source.summary)
    finetuning = Finetuning.of_network(
        wildcards.network, source.table, task, params.settings, params.embed
    )
    partial = Path(snakemake.output.scores).parent / "partial" / wildcards.task
    folds = finetune(finetuning, operation=operation, partial=partial, threads=snakemake.threads)
    names = {"method": BASELINE, "baseline": wildcards.network}
    identity = identify(task=task, table_path=source.table, **names)
    outputs = describe_outputs(task)
    write_finetuning(folds, finetuning, identity, outputs, partial=partial, **snakemake.output)
