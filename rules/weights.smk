"""Weights before training, from elsewhere, and for others.

Required inputs: weights of a model: a folder, or <results>/hub/models/{model}.json;
    <results>/models/{model}
Outputs: <results>/models/{model}/{run.json, weights.safetensors, export/}
"""


rule initialise_model:
    """Write a model's weights as they are before the first step, the baseline `untrained`."""
    input:
        run="<results>/models/{model}.untrained/run.json",
    output:
        weights="<results>/models/{model}.untrained/weights.safetensors",
    log:
        "<logs>/initialise_model/{model}.log",
    benchmark:
        "<benchmarks>/initialise_model/{model}.jsonl"
    wildcard_constraints:
        model="|".join(
            re.escape(model) for model in config["models"] if f"{model}.untrained" not in LOADED
        ),
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/initialise_model.py"


rule import_weights:
    """Hold published weights against preset and vocabulary, and save them as ours."""
    input:
        unpack(get_weight_files),
    output:
        run="<results>/models/{model}/run.json",
        weights="<results>/models/{model}/weights.safetensors",
    log:
        "<logs>/import_weights/{model}.log",
    benchmark:
        "<benchmarks>/import_weights/{model}.jsonl"
    wildcard_constraints:
        model="|".join(map(re.escape, LOADED)) or "-",
    priority: 1  # everything waits for it
    conda:
        "../envs/torch.yaml"
    params:
        run=get_run,
        source=get_weight_source,
        known=get_known_prediction,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/import_weights.py"


rule export_model:
    """Write a model as a folder that `transformers` opens."""
    input:
        run="<results>/models/{model}/run.json",
        weights="<results>/models/{model}/weights.safetensors",
    output:
        weights="<results>/models/{model}/export/model.safetensors",
        settings="<results>/models/{model}/export/config.json",
        vocabulary="<results>/models/{model}/export/vocab.txt",
        tokenizer="<results>/models/{model}/export/tokenizer_config.json",
    log:
        "<logs>/export_model/{model}.log",
    benchmark:
        "<benchmarks>/export_model/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/export_model.py"


rule write_model_card:
    """Say beside an export what the model is, and what was measured of it so far."""
    input:
        unpack(get_card_facts),
        export="<results>/models/{model}/export/config.json",
        run="<results>/models/{model}/run.json",
    output:
        card="<results>/models/{model}/export/README.md",
    log:
        "<logs>/write_model_card/{model}.log",
    benchmark:
        "<benchmarks>/write_model_card/{model}.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        rights=get_rights,
        summary=get_place("<results>/tables/summary.tsv"),
        scores_sha256=get_scores_sum,
        bootstrap=lookup("report/bootstrap", within=config),
    script:
        "../scripts/write_model_card.py"
