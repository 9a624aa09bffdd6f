"""Predict masked SNPs on personal haplotypes."""

from dnalm.interpretation.likelihoods.snp_perplexity import score_snps
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    score_snps(
        dict(snakemake.input.items()), snakemake.params.settings, dict(snakemake.output.items())
    )
