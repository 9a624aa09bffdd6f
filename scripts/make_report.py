"""Make the page and the plain summary that show the tables of a run."""

from dnalm.jobs.job import job
from dnalm.report.pages.benchmark import ReportConfig, make_page, write_text
from dnalm.report.pages.plain_summary import plain_summary
from dnalm.report.tables.files import read_tables
from dnalm.report.tables.stages import stages_table

with job(snakemake.log[0]):
    tables = read_tables(dict(snakemake.input.items()))
    stages = stages_table(snakemake.params.benchmarks, tables)
    page = make_page(tables, stages, ReportConfig(**snakemake.params.report))
    write_text(page, snakemake.output.page)
    write_text(plain_summary(tables, stages), snakemake.output.summary)
