"""Gather the histories of all pretrained models into tables and a page."""

import pandas as pd

from dnalm.jobs.job import job
from dnalm.report.pages.benchmark import write_text
from dnalm.report.pages.facts import note_of
from dnalm.report.pages.pretraining import make_pretraining_page
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.pretraining import pretraining_tables
from dnalm.report.tables.published_scores import read_reconstruction
from dnalm.report.tables.records import Identities
from dnalm.report.tables.sources import arrange, read_named

found, made = snakemake.input, dict(snakemake.output.items())
identities = Identities(**snakemake.params.identities)

with job(snakemake.log[0]):
    histories = arrange(snakemake.params.histories, list(identities.models))
    corpora = read_named(found.corpora, "name", identities.corpora)
    tables = pretraining_tables(
        read_named(found.runs, "model", list(histories)),
        histories,
        corpora,
        read_reconstruction(found.published),
        identities,
    )
    page = make_pretraining_page(
        tables,
        title=snakemake.params.title,
        note=note_of(pd.Series([corpus["simulated"] for corpus in corpora.values()], dtype=bool)),
    )
    write_tables(tables, {name: made[name] for name in tables})
    write_text(page, made["page"])
