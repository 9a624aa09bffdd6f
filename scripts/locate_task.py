"""Find the rows of one task in the genomes of one corpus."""

from dnalm.benchmark.audit.genome_search import locate_task
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import atomic_path, read_json
from dnalm.job import job

with job(snakemake.log[0]):
    locations = locate_task(
        read_task(snakemake.input.table),
        snakemake.params.genomes,
        read_json(snakemake.input.manifest),
    )
    with atomic_path(snakemake.output[0]) as temporary:
        locations.to_parquet(temporary, index=False)
