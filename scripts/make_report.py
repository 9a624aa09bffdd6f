"""Make the page that shows the tables of a run."""

from dnalm.job import job
from dnalm.report.page import ReportConfig, make_page, write_page
from dnalm.report.runs import stages_table
from dnalm.report.tables import read_tables

with job(snakemake.log[0]):
    html = make_page(
        read_tables(dict(snakemake.input.items())),
        stages_table(snakemake.params.benchmarks),
        ReportConfig(**snakemake.params.report),
    )
    write_page(html, snakemake.output[0])
