"""Score the variants of a mutagenesis assay, and hold the scores against measured effects."""

from dnalm.download.listings import locate_inputs
from dnalm.interpretation.likelihoods.assay import score_assay
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = snakemake.params.settings | snakemake.params.batches
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    score_assay(files, settings, dict(snakemake.output.items()))
