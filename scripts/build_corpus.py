"""Lay windows over genomes, split them, and fix the validation and test tokens."""

from dnalm.corpus.build import CorpusConfig, build_corpus
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    build_corpus(
        CorpusConfig(**snakemake.params.corpus),
        snakemake.params.genomes,
        name=snakemake.wildcards.corpus,
        panel=snakemake.params.panel,
        manifest=snakemake.output.manifest,
        validation=snakemake.output.validation,
        test=snakemake.output.test,
        kmer_counts=snakemake.output.kmer_counts,
    )
