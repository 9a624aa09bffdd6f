"""Choose SNPs of a panel by frequency, and haplotypes that carry either allele."""

from dnalm.interpretation.likelihoods.snp_sites import choose_snps
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    choose_snps(dict(snakemake.input.items()), snakemake.params.settings, snakemake.output.chosen)
