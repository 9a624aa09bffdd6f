"""From sequences to pooled hidden states of every layer.

Required inputs: <results>/models/{model}, <results>/tasks/{task}.parquet
Outputs: <results>/embeddings/{model}/{task}.safetensors; partial/ while it runs
"""


rule embed_task:
    """Pool every requested layer of one model; finished shards are kept in partial/."""
    input:
        run="<results>/models/{model}/run.json",
        weights="<results>/models/{model}/weights.safetensors",
        table="<results>/tasks/{task}.parquet",
    output:
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
    log:
        "<logs>/embed_task/{model}/{task}.log",
    benchmark:
        "<benchmarks>/embed_task/{model}/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,  # at least: one process per visible GPU shares the shards
    params:
        embed=lookup("embed", within=config),
        task=get_pooling,
    script:
        "../scripts/embed_task.py"
