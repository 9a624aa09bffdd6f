"""Gather the histories of all pretrained models into tables and a page."""

import pandas as pd

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.jobs.job import job
from dnalm.report.pages.benchmark import write_text
from dnalm.report.pages.facts import note_of
from dnalm.report.pages.pretraining import make_pretraining_page
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.pretraining import pretraining_tables
from dnalm.report.tables.records import Identities
from dnalm.report.tables.sources import read_pretraining
from dnalm.report.tables.verdicts.published_scores import read_reconstruction

found, params = dict(snakemake.input.items()), snakemake.params

with job(snakemake.log[0]):
    identities = Identities(**params.identities)
    sources = read_pretraining(found, params.histories, identities)
    published = read_reconstruction(snakemake.input.published)
    bootstrap = BootstrapConfig(**params.bootstrap)
    rest = {"published": published, "identities": identities, "bootstrap": bootstrap}
    tables = pretraining_tables(**sources, **rest)
    simulated = [corpus["simulated"] for corpus in sources["corpora"].values()]
    note = note_of(pd.Series(simulated, dtype=bool))
    page = make_pretraining_page(tables, title=params.title, note=note, level=bootstrap.level)
    write_tables(tables, {name: snakemake.output[name] for name in tables})
    write_text(page, snakemake.output.page)
