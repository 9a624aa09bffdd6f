"""Make the tables and the page of what scores of variants find."""

from dnalm.jobs.job import job
from dnalm.report.pages.benchmark import write_text
from dnalm.report.pages.variants.page import make_page
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.variants import make_tables, read_published

with job(snakemake.log[0]):
    tables = make_tables(
        snakemake.input.evaluations,
        snakemake.input.percentiles,
        read_published(snakemake.input.published),
    )
    paths = {name: path for name, path in snakemake.output.items() if name in tables}
    write_tables(tables, paths)
    page = make_page(tables, snakemake.params.title, snakemake.params.level)
    write_text(page, snakemake.output.page)
