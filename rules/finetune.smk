"""From a model and a task to adapters, heads and their scores.

Required inputs: <results>/models/{model}, <results>/tasks/{task}.{parquet, json}
Outputs: <results>/finetunes/{method}/{model}/{task}/{scores.tsv, summary.json,
    predictions.parquet, adapters.safetensors, history.tsv}
"""


rule finetune_folds:
    """Fine-tune one model on some folds of one task; finished folds are kept in partial/."""
    input:
        run="<results>/models/{model}/run.json",
        weights="<results>/models/{model}/weights.safetensors",
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        adapters="<results>/finetunes/{method}/{model}/{task}/parts/{part}.safetensors",
        predictions="<results>/finetunes/{method}/{model}/{task}/parts/{part}.parquet",
        history="<results>/finetunes/{method}/{model}/{task}/parts/{part}.tsv",
    log:
        "<logs>/finetune_folds/{method}/{model}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/finetune_folds/{method}/{model}/{task}/{part}.jsonl"
    priority: 1  # the longest jobs at the end: started last, they would leave cores idle
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        finetune=get_method,
        embed=get_embed,
        task=get_pooling,
        parts=len(FINETUNE_PARTS),
    script:
        "../scripts/finetune_folds.py"


rule collect_finetune:
    """Join the folds of one task and their scores."""
    input:
        summary="<results>/tasks/{task}.json",
        adapters=expand(
            "<results>/finetunes/{{method}}/{{model}}/{{task}}/parts/{part}.safetensors",
            part=FINETUNE_PARTS,
        ),
        predictions=expand(
            "<results>/finetunes/{{method}}/{{model}}/{{task}}/parts/{part}.parquet",
            part=FINETUNE_PARTS,
        ),
        histories=expand(
            "<results>/finetunes/{{method}}/{{model}}/{{task}}/parts/{part}.tsv",
            part=FINETUNE_PARTS,
        ),
    output:
        scores="<results>/finetunes/{method}/{model}/{task}/scores.tsv",
        summary="<results>/finetunes/{method}/{model}/{task}/summary.json",
        predictions="<results>/finetunes/{method}/{model}/{task}/predictions.parquet",
        adapters="<results>/finetunes/{method}/{model}/{task}/adapters.safetensors",
        history="<results>/finetunes/{method}/{model}/{task}/history.tsv",
    log:
        "<logs>/collect_finetune/{method}/{model}/{task}.log",
    benchmark:
        "<benchmarks>/collect_finetune/{method}/{model}/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        finetune=get_method,
    script:
        "../scripts/collect_finetune.py"
