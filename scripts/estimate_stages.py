"""Tabulate the hours, memory and disk that each stage of a run should take; nothing is read."""

from dnalm.jobs.job import job
from dnalm.report.estimates.hours import EstimateFiles, write_hours

with job(snakemake.log[0]):
    write_hours(snakemake.params.workload, EstimateFiles(**snakemake.output))
