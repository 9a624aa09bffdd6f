"""Index a file of phased genotypes."""

from dnalm.files import atomic_path
from dnalm.genome.vcf import index_variants
from dnalm.jobs.job import job

with job(snakemake.log[0]), atomic_path(snakemake.output.index) as temporary:
    index_variants(snakemake.input.variants, temporary)
