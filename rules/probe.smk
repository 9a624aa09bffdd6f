"""From embeddings, or simple features, to selected and scored probes.

Required inputs: <results>/embeddings/{model}/{task}.safetensors,
    <results>/tasks/{task}.{parquet, json}
Outputs: <results>/{probes, mlp_probes}/{model}/{task}.{tsv, json, predictions.parquet, safetensors},
    <results>/baselines/{baseline}/{task}.{tsv, json, predictions.parquet}
"""


rule probe_task:
    """Fit logistic regressions on every layer, choose one on validation, score the test set."""
    input:
        run=get_probed_run,
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/probes/{model}/{task}.tsv",
        summary="<results>/probes/{model}/{task}.json",
        predictions="<results>/probes/{model}/{task}.predictions.parquet",
        probe="<results>/probes/{model}/{task}.safetensors",
    log:
        "<logs>/probe_task/{model}/{task}.log",
    benchmark:
        "<benchmarks>/probe_task/{model}/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        probe=lookup("probe", within=config),
    script:
        "../scripts/probe_task.py"


rule probe_mlp:
    """Train MLP probes on every layer, choose one on validation, score the test set."""
    input:
        run=get_probed_run,
        embeddings="<results>/embeddings/{model}/{task}.safetensors",
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/mlp_probes/{model}/{task}.tsv",
        summary="<results>/mlp_probes/{model}/{task}.json",
        predictions="<results>/mlp_probes/{model}/{task}.predictions.parquet",
        probe="<results>/mlp_probes/{model}/{task}.safetensors",
    log:
        "<logs>/probe_mlp/{model}/{task}.log",
    benchmark:
        "<benchmarks>/probe_mlp/{model}/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        mlp=lookup("mlp", within=config),
    script:
        "../scripts/probe_mlp.py"


rule score_baselines:
    """Score what needs no language model: the majority class, GC content, k-mers, bases, ids."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores=list_baseline_files(PROBED_BASELINES, "tsv"),
        summaries=list_baseline_files(PROBED_BASELINES, "json"),
        predictions=list_baseline_files(PROBED_BASELINES, "predictions.parquet"),
    log:
        "<logs>/score_baselines/{task}.log",
    benchmark:
        "<benchmarks>/score_baselines/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        names=PROBED_BASELINES,
        baselines=get_settings_of_features,
        probe=lookup("probe", within=config),
    script:
        "../scripts/score_baselines.py"


ruleorder: score_bases > score_baselines


rule score_bases:
    """Score what needs no language model on a task of bases: class shares, position weights."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores=list_baseline_files(BASE_BASELINES, "tsv"),
        summaries=list_baseline_files(BASE_BASELINES, "json"),
        predictions=list_baseline_files(BASE_BASELINES, "predictions.parquet"),
    log:
        "<logs>/score_bases/{task}.log",
    benchmark:
        "<benchmarks>/score_bases/{task}.jsonl"
    wildcard_constraints:
        task="|".join(map(re.escape, OF_BASES)) or NOTHING,
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        names=BASE_BASELINES,
        baselines=get_settings_of_bases,
    script:
        "../scripts/score_bases.py"
