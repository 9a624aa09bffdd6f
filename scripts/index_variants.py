"""Index a file of phased genotypes."""

from dnalm.genome.vcf import index_variants
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    index_variants(snakemake.input.variants, snakemake.output.index)
