"""Fine-tune a model on both alleles of labelled variants, and score those of other chromosomes."""

from pathlib import Path

from dnalm.benchmark.finetuning.settings import Operation
from dnalm.jobs.job import job
from dnalm.variants.prioritisation.finetuned import finetune_variants

with job(snakemake.log[0]):
    output, params = Path(snakemake.output.scores), snakemake.params
    finetune_variants(
        dict(snakemake.input.items()),
        params.settings | params.batches | {"model": snakemake.wildcards.model},
        # No parameter of the rule: it decides nothing but the time.
        Operation.of(snakemake.config["finetune"]["operation"], None),
        output.parent / "partial" / output.stem,
        snakemake.threads,
        output,
        snakemake.wildcards.method,
    )
