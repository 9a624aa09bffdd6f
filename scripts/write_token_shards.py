"""Write epochs of a model's training windows as token arrays, in the trainer's order."""

from dnalm.files import read_json
from dnalm.genome.shards import write_token_shards
from dnalm.job import job

with job(snakemake.log[0]):
    write_token_shards(
        read_json(snakemake.input.manifest),
        snakemake.params.genomes,
        snakemake.output.shards,
        **snakemake.params.shards,
        seed=read_json(snakemake.input.run)["pretrain"]["seed"],
    )
