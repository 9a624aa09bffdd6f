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


rule score_baseline:
    """Score what needs no language model: the majority class, GC content, k-mers, bases, ids."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/baselines/{baseline}/{task}.tsv",
        summary="<results>/baselines/{baseline}/{task}.json",
        predictions="<results>/baselines/{baseline}/{task}.predictions.parquet",
    log:
        "<logs>/score_baseline/{baseline}/{task}.log",
    benchmark:
        "<benchmarks>/score_baseline/{baseline}/{task}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        baselines=get_settings_of_features,
        probe=lookup("probe", within=config),
    script:
        "../scripts/score_baseline.py"


ruleorder: score_bases > score_baseline


rule score_bases:
    """Score what needs no language model on a task of bases: class shares, position weights."""
    input:
        table="<results>/tasks/{task}.parquet",
        summary="<results>/tasks/{task}.json",
    output:
        scores="<results>/baselines/{baseline}/{task}.tsv",
        summary="<results>/baselines/{baseline}/{task}.json",
        predictions="<results>/baselines/{baseline}/{task}.predictions.parquet",
    log:
        "<logs>/score_bases/{baseline}/{task}.log",
    benchmark:
        "<benchmarks>/score_bases/{baseline}/{task}.jsonl"
    wildcard_constraints:
        task="|".join(map(re.escape, OF_BASES)) or NOTHING,
    conda:
        "../envs/torch.yaml"
    threads: 1
    params:
        baselines=get_settings_of_bases,
    script:
        "../scripts/score_bases.py"
