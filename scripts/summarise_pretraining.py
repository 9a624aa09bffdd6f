"""Gather the histories of all pretrained models into tables and a page."""

import pandas as pd

from dnalm.files import read_json
from dnalm.job import job
from dnalm.report.pages.benchmark import write_text
from dnalm.report.pages.facts import note_of
from dnalm.report.pages.pretraining import make_pretraining_page
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.pretraining import pretraining_tables
from dnalm.report.tables.published_scores import read_reconstruction
from dnalm.report.tables.records import Identities

found, made = snakemake.input, dict(snakemake.output.items())

with job(snakemake.log[0]):
    corpora = list(map(read_json, found.corpora))
    tables = pretraining_tables(
        list(map(read_json, found.runs)),
        found.histories,
        corpora,
        read_reconstruction(found.published),
        Identities(**snakemake.params.identities),
    )
    page = make_pretraining_page(
        tables,
        title=snakemake.params.title,
        note=note_of(pd.Series([corpus["simulated"] for corpus in corpora], dtype=bool)),
    )
    write_tables(tables, {name: made[name] for name in tables})
    write_text(page, made["page"])
