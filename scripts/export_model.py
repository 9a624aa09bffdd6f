"""Write one model as a folder that other programs open."""

from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.model.export import export_model

with job(snakemake.log[0]):
    export_model(
        read_json(snakemake.input.run),
        snakemake.input.weights,
        snakemake.params.rights,
        **dict(snakemake.output.items()),
    )
