"""Make the page and the plain summary that show the tables of a run."""

from dnalm.job import job
from dnalm.report.page import ReportConfig, make_page, write_text
from dnalm.report.plain import plain_summary
from dnalm.report.stages import stages_table
from dnalm.report.table_files import read_tables

with job(snakemake.log[0]):
    tables = read_tables(dict(snakemake.input.items()))
    stages = stages_table(snakemake.params.benchmarks, tables)
    page = make_page(tables, stages, ReportConfig(**snakemake.params.report))
    write_text(page, snakemake.output.page)
    write_text(plain_summary(tables, stages), snakemake.output.summary)
