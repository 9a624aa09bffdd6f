"""Write one model as a folder that other programs open."""

from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.model.export import export_model

with job(snakemake.log[0]):
    run, weights = read_json(snakemake.input.run), snakemake.input.weights
    export_model(run, weights, **dict(snakemake.output.items()))
