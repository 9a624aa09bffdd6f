"""From a model and a task to adapters, heads and their scores; from a task alone to networks'.

Required inputs: <results>/models/{model}, <results>/tasks/{task}.{parquet, json}
Outputs: <results>/finetunes/{method}/{model}/{task}/{scores.tsv, summary.json,
    predictions.parquet, adapters.safetensors, history.tsv, peft/},
    <results>/baselines/{network}/{task}.{tsv, json, predictions.parquet, safetensors},
    <results>/baselines/{network}/history/{task}.tsv
"""


rule finetune_task:
    """Fine-tune one model on every fold of one task; folds, and their checkpoints, are in partial/."""
    input:
        unpack(get_model_files),
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/finetunes/{method}/{model}/{task}/scores.tsv",
        summary="<results>/finetunes/{method}/{model}/{task}/summary.json",
        predictions="<results>/finetunes/{method}/{model}/{task}/predictions.parquet",
        adapters="<results>/finetunes/{method}/{model}/{task}/adapters.safetensors",
        history="<results>/finetunes/{method}/{model}/{task}/history.tsv",
    log:
        "<logs>/finetune_task/{method}/{model}/{task}.log",
    benchmark:
        "<benchmarks>/finetune_task/{method}/{model}/{task}.jsonl"
    priority: 1  # the longest jobs at the end: started last, they would leave cores idle
    conda:
        get_model_environment
    threads: 1
    resources:
        # For a scheduler that has them, as of rule pretrain.
        gpu=get_finetune_gpus,
        mem_mb=get_finetune_memory,
    params:
        embedder=get_tuned_embedder,
        downloads=get_place("<results>/downloads"),
        finetune=get_method,
        embed=get_encoded,
        batches=get_embed_batches,
        task=get_pooling,
    script:
        "../scripts/finetune_task.py"


rule train_network:
    """Train a network from scratch on every fold of one task; it goes on where it was killed."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/baselines/{network}/{task}.tsv",
        summary="<results>/baselines/{network}/{task}.json",
        predictions="<results>/baselines/{network}/{task}.predictions.parquet",
        history="<results>/baselines/{network}/history/{task}.tsv",
        trained="<results>/baselines/{network}/{task}.safetensors",
    log:
        "<logs>/train_network/{network}/{task}.log",
    benchmark:
        "<benchmarks>/train_network/{network}/{task}.jsonl"
    wildcard_constraints:
        network="|".join(methods.NETWORKS),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=get_network,
        embed=get_network_embed,
    script:
        "../scripts/train_network.py"


rule export_adapters:
    """Write the folds of one fine-tuning as folders that `peft` opens; made only when asked for."""
    input:
        unpack(get_peft_base_files),
        adapters="<results>/finetunes/{method}/{model}/{task}/adapters.safetensors",
    output:
        folder=directory("<results>/finetunes/{method}/{model}/{task}/peft"),
    log:
        "<logs>/export_adapters/{method}/{model}/{task}.log",
    benchmark:
        "<benchmarks>/export_adapters/{method}/{model}/{task}.jsonl"
    conda:
        get_model_environment
    params:
        rights=get_rights,
        embedder=get_tuned_embedder,
        downloads=get_place("<results>/downloads"),
        place=get_peft_base,
    script:
        "../scripts/export_adapters.py"
