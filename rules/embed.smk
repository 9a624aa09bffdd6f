"""From sequences to pooled hidden states of every layer.

Required inputs: <results>/models/{model}, <results>/tasks/{task}.parquet
Outputs: <results>/embeddings/{model}/{task}.safetensors; partial/ while it runs; by option
    {task}.{parquet, h5ad}; <results>/models/{model}/embedder.json of models that are not ours
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
    wildcard_constraints:
        model=match_others(FOREIGN),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,  # at least: one process per visible GPU shares the shards
    params:
        embed=get_embed,
        batches=get_embed_batches,
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


rule describe_embedder:
    """Open a model that is not ours, check its states and spans, and write down what it is."""
    input:
        unpack(get_embedder_files),
    output:
        described="<results>/models/{model}/embedder.json",
    log:
        "<logs>/describe_embedder/{model}.log",
    benchmark:
        "<benchmarks>/describe_embedder/{model}.jsonl"
    wildcard_constraints:
        model=match_models(EMBEDDERS),
    conda:
        get_embedder_environment
    params:
        embedder=get_embedder,
        rights=get_embedder_rights,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/describe_embedder.py"


rule embed_with_embedder:
    """Pool every requested layer of a model that is not ours; finished shards are kept."""
    input:
        unpack(get_embedder_files),
        described="<results>/models/{model}/embedder.json",
        table="<results>/tasks/{task}.parquet",
    output:
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
    log:
        "<logs>/embed_with_embedder/{model}/{task}.log",
    benchmark:
        "<benchmarks>/embed_with_embedder/{model}/{task}.jsonl"
    wildcard_constraints:
        model=match_models(EMBEDDERS),
    conda:
        get_embedder_environment
    threads: 1
    resources:
        gpu=1,
    params:
        embedder=get_embedder,
        rights=get_embedder_rights,
        embed=get_embed,
        batches=get_embed_batches,
        task=get_pooling,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/embed_with_embedder.py"


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
        model=match_models([model for model in FOREIGN if model not in EMBEDDERS]),
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/import_embeddings.py"
