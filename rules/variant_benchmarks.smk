"""From scored variants and what is known of them to how well scores find those that matter.

Required inputs: variants.*.vcf or the files of variants.*.label; of scores
    <results>/variants/{set}/{model}.parquet, .features.safetensors
Outputs: <results>/variant_benchmarks/{set}/{labels.parquet, labels.json, labelled.vcf.gz,
    evaluation.json} and supervised/, finetuned/{method}/, distributions/, percentiles/, aligned/
    of {model}.parquet; finetuned/{method}/partial/ while it runs
"""


rule label_variants:
    """Label the variants of a file, with their classes and the scores of others."""
    input:
        unpack(get_set_files),
    output:
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        summary="<results>/variant_benchmarks/{set}/labels.json",
    log:
        "<logs>/label_variants/{set}.log",
    benchmark:
        "<benchmarks>/label_variants/{set}.jsonl"
    wildcard_constraints:
        set="|".join(map(re.escape, GIVEN_SETS)) or NOTHING,
    conda:
        "../envs/torch.yaml"
    params:
        settings=get_set,
    script:
        "../scripts/label_variants.py"


use rule label_variants as gather_variants with:
    output:
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        summary="<results>/variant_benchmarks/{set}/labels.json",
        vcf="<results>/variant_benchmarks/{set}/labelled.vcf.gz",
    log:
        "<logs>/gather_variants/{set}.log",
    benchmark:
        "<benchmarks>/gather_variants/{set}.jsonl"
    wildcard_constraints:
        set="|".join(map(re.escape, MADE_SETS)) or NOTHING,


rule supervise_variants:
    """Score variants by probes on both alleles that have not seen their chromosome."""
    input:
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        scores="<results>/variants/{set}/{model}.parquet",
        features="<results>/variants/{set}/{model}.features.safetensors",
    output:
        scores="<results>/variant_benchmarks/{set}/supervised/{model}.parquet",
    log:
        "<logs>/supervise_variants/{set}/{model}.log",
    benchmark:
        "<benchmarks>/supervise_variants/{set}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        supervised=get_supervised,
    script:
        "../scripts/supervise_variants.py"


rule finetune_variants:
    """Score variants by encoders that were fine-tuned on both alleles of other chromosomes."""
    input:
        unpack(get_bases_of_set),
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        run="<results>/models/{model}/run.json",
        weights="<results>/models/{model}/weights.safetensors",
    output:
        scores="<results>/variant_benchmarks/{set}/finetuned/{method}/{model}.parquet",
    log:
        "<logs>/finetune_variants/{set}/{method}/{model}.log",
    benchmark:
        "<benchmarks>/finetune_variants/{set}/{method}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        settings=get_finetuning,
        batches=get_finetuning_batches,
    script:
        "../scripts/finetune_variants.py"


rule evaluate_variants:
    """Hold the scores of a set against its labels and classes, with bootstrap intervals."""
    input:
        unpack(get_set_scores),
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
    output:
        evaluation="<results>/variant_benchmarks/{set}/evaluation.json",
    log:
        "<logs>/evaluate_variants/{set}.log",
    benchmark:
        "<benchmarks>/evaluate_variants/{set}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        evaluation=get_evaluation,
    script:
        "../scripts/evaluate_variants.py"


rule collect_distribution:
    """Collect the scores of common variants by class, with the options they were made with."""
    input:
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        scores="<results>/variants/{set}/{model}.parquet",
    output:
        distribution="<results>/variant_benchmarks/{set}/distributions/{model}.parquet",
    log:
        "<logs>/collect_distribution/{set}/{model}.log",
    benchmark:
        "<benchmarks>/collect_distribution/{set}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/collect_distribution.py"


rule place_variants:
    """Find the percentile of every score among common variants of the same class."""
    input:
        labels="<results>/variant_benchmarks/{set}/labels.parquet",
        scores="<results>/variants/{set}/{model}.parquet",
        distribution=get_distribution,
    output:
        percentiles="<results>/variant_benchmarks/{set}/percentiles/{model}.parquet",
    log:
        "<logs>/place_variants/{set}/{model}.log",
    benchmark:
        "<benchmarks>/place_variants/{set}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        min_reference=lookup("variant_benchmark/min_reference", within=config),
    script:
        "../scripts/place_variants.py"


rule align_scores:
    """Write scores row by row as the table of labels has its variants."""
    input:
        table=get_table_of_labels,
        scores="<results>/variants/{set}/{model}.parquet",
    output:
        aligned="<results>/variant_benchmarks/{set}/aligned/{model}.parquet",
    log:
        "<logs>/align_scores/{set}/{model}.log",
    benchmark:
        "<benchmarks>/align_scores/{set}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/align_scores.py"
