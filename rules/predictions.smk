"""From what was trained, and sequences of one's own, to predictions.

Required inputs: <results>/models/{model} with <results>/probes/{model}/{task}.safetensors or
    <results>/finetunes/{method}/{model}/{task}/adapters.safetensors, or
    <results>/baselines/{network}/{task}.safetensors; predictions.*.path, or
    predictions.*.bed and <results>/genomes/{genome}
Outputs: <results>/predictions/{prediction}.{tsv, parquet}; of per-base tasks {prediction}.parquet
    and, of intervals of a genome, {prediction}.tracks/
"""


rule predict_sequences:
    """Predict a class, labels or numbers of every sequence, the mean over the folds of a task."""
    input:
        unpack(get_prediction_files),
    output:
        tsv="<results>/predictions/{prediction}.tsv",
        parquet="<results>/predictions/{prediction}.parquet",
    log:
        "<logs>/predict_sequences/{prediction}.log",
    benchmark:
        "<benchmarks>/predict_sequences/{prediction}.jsonl"
    wildcard_constraints:
        prediction="|".join(map(re.escape, PREDICTED_ROWS)) or NOTHING,
    conda:
        get_prediction_environment
    threads: 1
    resources:
        gpu=1,
    params:
        prediction=get_prediction,
        batches=get_prediction_batches,
        downloads=get_place("<results>/downloads"),
        asked=get_asked,
    script:
        "../scripts/predict_sequences.py"


rule predict_bases:
    """Predict a class of every base of every sequence."""
    input:
        unpack(get_prediction_files),
    output:
        parquet="<results>/predictions/{prediction}.parquet",
    log:
        "<logs>/predict_bases/{prediction}.log",
    benchmark:
        "<benchmarks>/predict_bases/{prediction}.jsonl"
    wildcard_constraints:
        prediction="|".join(map(re.escape, PREDICTED_BASES)) or NOTHING,
    conda:
        get_prediction_environment
    threads: 1
    resources:
        gpu=1,
    params:
        prediction=get_prediction,
        batches=get_prediction_batches,
        downloads=get_place("<results>/downloads"),
        asked=get_asked,
    script:
        "../scripts/predict_sequences.py"


rule predict_tracks:
    """Predict a class of every base of intervals, as a table and as tracks along the genome."""
    input:
        unpack(get_prediction_files),
    output:
        parquet="<results>/predictions/{prediction}.parquet",
        tracks=directory("<results>/predictions/{prediction}.tracks"),
    log:
        "<logs>/predict_tracks/{prediction}.log",
    benchmark:
        "<benchmarks>/predict_tracks/{prediction}.jsonl"
    wildcard_constraints:
        prediction="|".join(map(re.escape, PREDICTED_TRACKS)) or NOTHING,
    conda:
        get_prediction_environment
    threads: 1
    resources:
        gpu=1,
    params:
        prediction=get_prediction,
        batches=get_prediction_batches,
        downloads=get_place("<results>/downloads"),
        asked=get_asked,
    script:
        "../scripts/predict_sequences.py"
