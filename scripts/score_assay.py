"""Score the variants of a mutagenesis assay, and hold the scores against measured effects."""

from dnalm.interpretation.likelihoods.assay import score_assay
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    score_assay(
        dict(snakemake.input.items()), snakemake.params.settings, dict(snakemake.output.items())
    )
