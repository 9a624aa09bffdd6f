"""Make the page, the plain summary and the JSON that show the tables of a run."""

from dnalm.jobs.job import job
from dnalm.report.job_records import read_rule_graph
from dnalm.report.json_report import json_report
from dnalm.report.pages.benchmark import ReportConfig, make_page, write_text
from dnalm.report.pages.companions import read_companions
from dnalm.report.pages.plain_summary import plain_summary
from dnalm.report.provenance import describe_provenance
from dnalm.report.tables.files import read_benchmark
from dnalm.report.tables.stages import stages_table

params = snakemake.params

with job(snakemake.log[0]):
    tables = read_benchmark(snakemake.input)
    beside = read_companions(snakemake.input.variants, snakemake.input.interpretation)
    stages = stages_table(params.benchmarks, tables, params.logs)
    config = ReportConfig(**params.report)
    rules = read_rule_graph(snakemake.rule, snakemake.input)
    made = describe_provenance(tables, snakemake.config, params.snakemake, rules)
    write_text(make_page(tables, stages, config, made, beside), snakemake.output.page)
    write_text(plain_summary(tables, stages), snakemake.output.summary)
    write_text(json_report(tables, made, config.title), snakemake.output.data)
