"""Label the variants of a set and gather what is known of them."""

from dnalm.jobs.job import job
from dnalm.variants.prioritisation.labelled_set import label_set, make_config, write_set

with job(snakemake.log[0]):
    config = make_config(snakemake.params.settings, dict(snakemake.input.items()))
    table, counts = label_set(config)
    write_set(table, counts, config.name, dict(snakemake.output.items()))
