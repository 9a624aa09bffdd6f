"""Fine-tune one model on all folds of one task and score it."""

from pathlib import Path

from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.files import read_json, sha256_of
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    # No parameter of the rule: what decides nothing but the time makes no result out of date.
    operation = Operation(**snakemake.config["finetune"]["operation"])
    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    task = read_json(source.summary)
    finetuning = Finetuning.of(source, task, params.task, params.finetune, params.embed)
    partial = Path(snakemake.output.scores).parent / "partial"
    folds = finetune(finetuning, operation=operation, partial=partial, threads=snakemake.threads)
    identity = identify(
        method=wildcards.method,
        task=task,
        table_path=source.table,
        model=wildcards.model,
        weights_sha256=sha256_of(source.weights),
    )
    outputs = describe_outputs(task)
    write_finetuning(folds, finetuning, identity, outputs, partial=partial, **snakemake.output)
