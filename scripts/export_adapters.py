"""Write the folds of one fine-tuning as folders that `peft` opens."""

from dnalm.benchmark.finetuning.peft_folders import export_adapters
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    export_adapters(
        snakemake.input.adapters,
        read_json(snakemake.input.run),
        snakemake.params.rights,
        snakemake.output.folder,
        base=snakemake.params.base,
    )
