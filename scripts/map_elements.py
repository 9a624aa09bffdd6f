"""Draw a map of the elements of an annotation."""

from dnalm.interpretation.element_maps import map_elements
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    map_elements(
        dict(snakemake.input.items()), snakemake.params.settings, dict(snakemake.output.items())
    )
