"""Write the weights that one model starts from."""

from dnalm.jobs.job import job
from dnalm.model.weights import save_weights
from dnalm.training.launch import make_encoder
from dnalm.training.settings import Run

with job(snakemake.log[0]):
    run = Run.read(snakemake.input.run)
    encoder = make_encoder(run, run.initial_weights)
    save_weights(encoder, snakemake.output.weights, {"step": "0"})
