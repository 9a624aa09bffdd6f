"""Join the folds of one fine-tuning and their scores."""

from pathlib import Path

from dnalm.benchmark.finetuning.collect import collect
from dnalm.benchmark.scoring.results import write_result
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    source, output = snakemake.input, snakemake.output
    result, identity = collect(
        source.adapters,
        source.predictions,
        source.histories,
        keep=snakemake.params.finetune["keep"],
        merged_adapters=output.adapters,
        merged_history=output.history,
    )
    write_result(
        result,
        identity,
        scores=output.scores,
        summary=output.summary,
        predictions=output.predictions,
        partial=Path(output.scores).parent / "partial",
    )
