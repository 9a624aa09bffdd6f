"""Make the page on attention, reconstruction and maps."""

import pandas as pd

from dnalm.files import read_json
from dnalm.jobs.job import job
from dnalm.report.pages.benchmark import write_text
from dnalm.report.pages.facts import note_of
from dnalm.report.pages.interpretation import make_interpretation_page, read_interpretation
from dnalm.report.tables.verdicts.published_scores import read_published

found, params = snakemake.input, snakemake.params

with job(snakemake.log[0]):
    simulated = [read_json(path)["simulated"] for path in found.genomes]
    page = make_interpretation_page(
        read_interpretation(found.tables),
        read_published(found.published),
        params.published_as,
        title=params.title,
        note=note_of(pd.Series(simulated, dtype=bool)),
    )
    write_text(page, snakemake.output.page)
