"""Find rows of a task that repeat or overlap others, and what its labels go with."""

from dnalm.benchmark.audit.audit import AuditConfig, audit_task, write_audit
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
from dnalm.jobs.job import job

with job(snakemake.log[0]):
    task = read_json(snakemake.input.summary)
    config = AuditConfig(**snakemake.params.audit)
    audit = audit_task(read_task(snakemake.input.table), task["kind"], config)
    write_audit(audit, task, **snakemake.output)
