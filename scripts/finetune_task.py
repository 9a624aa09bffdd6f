"""Fine-tune one model on all folds of one task and score it."""

from pathlib import Path

from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.files import read_json, sha256_of
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    task = read_json(source.summary)
    finetuning = Finetuning.of(source, task, params.task, params.finetune, params.embed)
    partial = Path(snakemake.output.scores).parent / "partial"
    folds = finetune(finetuning, partial=partial, threads=snakemake.threads)
    identity = identify(
        method=wildcards.method,
        task=task,
        table_path=source.table,
        model=wildcards.model,
        weights_sha256=sha256_of(source.weights),
    )
    files = dict(snakemake.output.items())
    files["trained"] = files.pop("adapters")
    write_finetuning(folds, finetuning, identity, describe_outputs(task), partial=partial, **files)
