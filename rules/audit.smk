"""Leakage within a task, what its labels go with, and what pretraining has seen of its rows.

Required inputs: <results>/tasks/{task}.{parquet, json}, bases of genomes, manifests of corpora
Outputs: <results>/audits/{task}.{json, rows.parquet, pairs.tsv},
    <results>/locations/genomes_{part}.parquet, <results>/locations/{corpus}/{task}.parquet
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


rule search_genomes:
    """Find the rows of all tasks in a part of the pretraining genomes, with minimap2."""
    input:
        tables=expand("<results>/tasks/{task}.parquet", task=LOCATED),
        bases=get_part_bases,
        contigs=get_part_contigs,
    output:
        places="<results>/locations/genomes_{part}.parquet",
    log:
        "<logs>/search_genomes/{part}.log",
    benchmark:
        "<benchmarks>/search_genomes/{part}.jsonl"
    conda:
        "../envs/genomics.yaml"
    threads: 8
    params:
        genomes=get_part_folders,
        search=get_search,
    script:
        "../scripts/search_genomes.py"


rule locate_task:
    """Say of each row of a task where in a corpus it lies: what has the model seen?"""
    input:
        table="<results>/tasks/{task}.parquet",
        manifest="<results>/corpora/{corpus}/manifest.json",
        places=get_places,
    output:
        locations="<results>/locations/{corpus}/{task}.parquet",
    log:
        "<logs>/locate_task/{corpus}/{task}.log",
    benchmark:
        "<benchmarks>/locate_task/{corpus}/{task}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        genomes=get_corpus_genomes,
    script:
        "../scripts/locate_task.py"
