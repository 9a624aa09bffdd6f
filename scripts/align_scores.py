"""Write scores of variants row by row as a table of labels has them."""

from dnalm.jobs.job import job
from dnalm.variants.prioritisation.results import align_scores

with job(snakemake.log[0]):
    align_scores(snakemake.input.table, snakemake.input.scores, snakemake.output.aligned)
