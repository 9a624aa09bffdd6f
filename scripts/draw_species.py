"""Draw a list of species by the paper's rule from NCBI's assembly summaries."""

from dnalm.files import write_json
from dnalm.genome.species.draw import SpeciesConfig, draw_species, write_sheet
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    draw = draw_species(SpeciesConfig(**snakemake.params.species), dict(snakemake.input.items()))
    write_sheet(draw.rows, snakemake.output.sheet)
    write_json(snakemake.output.record, draw.record)
