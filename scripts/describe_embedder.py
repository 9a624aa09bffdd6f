"""Open a model that is not ours, check its states and spans, and write down what it is."""

from dnalm.benchmark.embedding.embedders import describe_embedder
from dnalm.devices import best_device
from dnalm.download.listings import locate_inputs
from dnalm.jobs.job import job
from dnalm.model.embedders.opening import locate_embedder

with job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output.described
    entry = locate_embedder(params.embedder, locate_inputs(snakemake.input, params.downloads))
    told = {"model": snakemake.wildcards.model, **params.rights}
    describe_embedder(entry, told, str(best_device()), output)
