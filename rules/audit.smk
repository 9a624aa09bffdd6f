"""Leakage within a task, and what its labels go with.

Required inputs: <results>/tasks/{task}.{parquet, json}
Outputs: <results>/audits/{task}.{json, rows.parquet, pairs.tsv}
"""


rule audit_task:
    """Find rows of a task that repeat or overlap others, and what its labels go with."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        summary="<results>/audits/{task}.json",
        rows="<results>/audits/{task}.rows.parquet",
        pairs="<results>/audits/{task}.pairs.tsv",
    log:
        "<logs>/audit_task/{task}.log",
    benchmark:
        "<benchmarks>/audit_task/{task}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        audit=lookup("audit", within=config),
    script:
        "../scripts/audit_task.py"
