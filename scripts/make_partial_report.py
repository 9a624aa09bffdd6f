"""Make the page of the results that are there of an unfinished run."""

from dnalm.jobs.job import job
from dnalm.report.finished import Expected, find_finished, tabulate
from dnalm.report.gaps import describe_gaps, mark_gaps
from dnalm.report.job_records import read_rule_graph
from dnalm.report.pages.benchmark import ReportConfig, make_page, write_text
from dnalm.report.pages.companions import read_companions
from dnalm.report.provenance import describe_provenance
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.records import Identities
from dnalm.report.tables.stages import stages_table

params = snakemake.params

with job(snakemake.log[0]):
    wanted = [Expected(**one) for one in params.expected]
    found = find_finished(wanted, params.described, params.files, Identities(**params.identities))
    gaps = describe_gaps(wanted, found.missing, params.jobs, params.products)
    tabled = tabulate(found, snakemake.input.published, Statistics.of(params.report))
    tables = mark_gaps(tabled, gaps)
    rules = read_rule_graph(snakemake.rule, found.files)
    made = describe_provenance(tables, snakemake.config, params.snakemake, rules)
    stages = stages_table(params.benchmarks, tables, params.logs)
    beside, config = read_companions(**params.beside), ReportConfig(**params.report)
    write_text(make_page(tables, stages, config, made, beside, gaps), snakemake.output.page)
