"""Write a genome's clean FASTA file from its stored bases."""

from dnalm.genome.bases import GenomeBases, write_fasta
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    write_fasta(GenomeBases(snakemake.input.bases, snakemake.input.contigs), snakemake.output.fasta)
