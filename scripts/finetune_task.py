"""Fine-tune one model on all folds of one task and score it."""

from pathlib import Path

from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.download.listings import locate_inputs
from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    # No parameter of the rule: what decides nothing but the time makes no result out of date.
    params, wildcards = snakemake.params, snakemake.wildcards
    operation = Operation.of(snakemake.config["finetune"]["operation"], wildcards.model)
    source = locate_inputs(snakemake.input, params.downloads)
    entry = params.embedder and locate_embedder(params.embedder, source)
    task = read_json(source["summary"])
    embed = params.embed | params.batches
    finetuning = Finetuning.of(source, task, params.task, params.finetune, embed, entry)
    partial = Path(snakemake.output.scores).parent / "partial"
    folds = finetune(finetuning, operation=operation, partial=partial, threads=snakemake.threads)
    identity = identify(
        method=wildcards.method,
        task=task,
        table_path=source["table"],
        model=wildcards.model,
        weights_sha256=finetuning.weights_sha256(),
    )
    files = dict(snakemake.output.items())
    files["trained"] = files.pop("adapters")
    write_finetuning(folds, finetuning, identity, describe_outputs(task), partial=partial, **files)
