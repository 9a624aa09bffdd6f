"""Find the rows of all tasks in a part of the pretraining genomes."""

from dnalm.benchmark.audit.genome_search import SearchConfig, read_sequences, search_genomes
from dnalm.benchmark.parquet import write_parquet
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    places = search_genomes(
        read_sequences(snakemake.input.tables),
        snakemake.params.genomes,
        SearchConfig(**snakemake.params.search),
        snakemake.threads,
    )
    write_parquet(places, snakemake.output.places, {"part": snakemake.wildcards.part})
