"""Say where the rows of one task lie in the genomes of one corpus."""

from dnalm.benchmark.audit.genome_search import locate_task, read_places
from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    corpus = read_json(snakemake.input.manifest)
    table, places = read_task(snakemake.input.table), read_places(snakemake.input.places)
    locations = locate_task(table, places, snakemake.params.genomes, corpus)
    names = {"corpus": corpus["name"], "task": snakemake.wildcards.task}
    write_parquet(locations, snakemake.output.locations, names)
