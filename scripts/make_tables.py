"""Gather all results and facts of a run into tables."""

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.jobs.job import job
from dnalm.report.tables.assembly import make_tables
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.records import Identities, read_results
from dnalm.report.tables.sources import read_sources
from dnalm.report.tables.verdicts.published_scores import read_published

params = snakemake.params

with job(snakemake.log[0]):
    identities = Identities(**params.identities)
    tables = make_tables(
        read_results(params.results, identities),
        read_sources(dict(snakemake.input.items()), params.files, identities),
        read_published(snakemake.input.published),
        identities,
        Statistics(
            bootstrap=BootstrapConfig(**params.bootstrap),
            correction=params.correction,
            leak=params.leak,
            equal=params.equal,
        ),
    )
    write_tables(tables, dict(snakemake.output.items()))
