"""From labelled sequences, or elements of a genome, to one table with folds.

Required inputs: path, url, hub or build of a task
Outputs: <results>/tasks/{task}.{parquet, json}, <results>/locations/{corpus}/{task}.parquet
"""


rule make_task:
    """Bring a task's files, or windows cut from a genome, into one table with its folds."""
    input:
        unpack(get_task_files),
    output:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    log:
        "<logs>/make_task/{task}.log",
    benchmark:
        "<benchmarks>/make_task/{task}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        name="{task}",
        task=get_task,
        cross_validation=lookup("cross_validation", within=config),
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/make_task.py"


rule locate_task:
    """Find a task's sequences in the genomes of a corpus: what has the model seen?"""
    input:
        table="<results>/tasks/{task}.parquet",
        manifest="<results>/corpora/{corpus}/manifest.json",
        bases=get_bases,
    output:
        locations="<results>/locations/{corpus}/{task}.parquet",
    log:
        "<logs>/locate_task/{corpus}/{task}.log",
    benchmark:
        "<benchmarks>/locate_task/{corpus}/{task}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        genomes=get_folders,
    script:
        "../scripts/locate_task.py"
