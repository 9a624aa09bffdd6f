"""Index a VCF file of scored variants."""

from dnalm.jobs.job import job
from dnalm.variants.vcf_output import index_output

with job(snakemake.log[0]):
    index_output(snakemake.input.vcf, snakemake.output.index)
