"""Write epochs of a model's training windows as token arrays, in the trainer's order."""

from dnalm.corpus.token_shards import write_token_shards
from dnalm.files import read_json
from dnalm.genome.haplotypes.contig import find_panel
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    manifest = read_json(snakemake.input.manifest)
    write_token_shards(
        manifest,
        snakemake.params.genomes,
        snakemake.output.shards,
        **snakemake.params.shards,
        seed=read_json(snakemake.input.run)["pretrain"]["seed"],
        panel=find_panel(manifest, snakemake.params.panels),
    )
