"""Write the folds of one fine-tuning as folders that `peft` opens."""

from dnalm.benchmark.finetuning.peft_folders.base_models import find_base
from dnalm.benchmark.finetuning.peft_folders.folders import export_adapters
from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    files = locate_inputs(source, params.downloads)
    entry = params.embedder and locate_embedder(params.embedder, files)
    base = find_base(files, params.place, entry)
    export_adapters(source.adapters, base, params.rights, snakemake.output.folder)
