"""Draw a map of the elements of an annotation."""

from dnalm.download.listings import locate_inputs
from dnalm.interpretation.element_maps import map_elements
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    files = locate_inputs(snakemake.input, snakemake.params.downloads)
    settings = dict(snakemake.params.settings)
    if "embedder" in settings:
        settings["embedder"] = locate_embedder(settings["embedder"], files)
    map_elements(files, settings, dict(snakemake.output.items()))
