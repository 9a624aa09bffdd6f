"""Find the rows of one task in the genomes of one corpus."""

from dnalm.benchmark.audit.genome_search import locate_task
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.parquet import write_parquet

with job(snakemake.log[0]):
    corpus = read_json(snakemake.input.manifest)
    locations = locate_task(read_task(snakemake.input.table), snakemake.params.genomes, corpus)
    names = {"corpus": corpus["name"], "task": snakemake.wildcards.task}
    write_parquet(locations, snakemake.output[0], names)
