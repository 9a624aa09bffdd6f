"""From sequences to pooled hidden states of every layer.

Required inputs: <results>/models/{model}, <results>/tasks/{task}.parquet
Outputs: <results>/embeddings/{model}/{task}.safetensors; partial/ while it runs; by option
    {task}.{parquet, h5ad}
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
        embed=get_embed,
        task=get_pooling,
    script:
        "../scripts/embed_task.py"


rule export_embeddings:
    """Write embeddings with ids, labels and splits for other programs: Parquet, AnnData."""
    input:
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
        table="<results>/tasks/{task}.parquet",
    output:
        exported="<results>/embeddings/{model}/{task}.{form}",
    log:
        "<logs>/export_embeddings/{model}/{task}.{form}.log",
    benchmark:
        "<benchmarks>/export_embeddings/{model}/{task}.{form}.jsonl"
    wildcard_constraints:
        form="|".join(SUFFIXES.values()),
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/export_embeddings.py"


ruleorder: import_embeddings > embed_task


rule import_embeddings:
    """Bring embeddings that another program made into the order of a task's rows."""
    input:
        embeddings=get_foreign_embeddings,
        table="<results>/tasks/{task}.parquet",
    output:
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
    log:
        "<logs>/import_embeddings/{model}/{task}.log",
    benchmark:
        "<benchmarks>/import_embeddings/{model}/{task}.jsonl"
    wildcard_constraints:
        model="|".join(map(re.escape, FOREIGN)) or NOTHING,
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/import_embeddings.py"
