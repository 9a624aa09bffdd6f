"""From labelled sequences, or elements of a genome, to one table with folds.

Required inputs: path, url, hub or build of a task
Outputs: <results>/tasks/{task}.{parquet, json}
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
    resources:
        mem_mb=get_task_memory,
    params:
        name="{task}",
        task=get_task,
        cross_validation=get_cross_validation,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/make_task.py"
