"""From a VCF file and a model to the same file with scores.

Required inputs: variants.*.vcf; <results>/genomes/{genome}; <results>/models/{model}, of an
    embedder its files
Outputs: <results>/variants/{set}/{model}.{vcf.gz, vcf.gz.tbi, parquet}; partial/ while it runs; by
    option {model}.features.safetensors, .vcf.gz.csi; when asked for {model}.tsv.gz
"""


rule score_variants:
    """Score every allele of a VCF file with one model; finished parts are kept in partial/."""
    input:
        unpack(get_variant_files),
    output:
        vcf="<results>/variants/{set}/{model}.vcf.gz",
        table="<results>/variants/{set}/{model}.parquet",
    log:
        "<logs>/score_variants/{set}/{model}.log",
    benchmark:
        "<benchmarks>/score_variants/{set}/{model}.jsonl"
    wildcard_constraints:
        set="|".join(map(re.escape, SCORED)) or NOTHING,
    conda:
        get_model_environment
    threads: 1  # without a GPU a process for each
    resources:
        gpu=1,  # at least: one process per visible GPU shares the parts
    params:
        settings=get_variant_settings,
        batches=get_variant_batches,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/score_variants.py"


use rule score_variants as score_variants_with_features with:
    output:
        vcf="<results>/variants/{set}/{model}.vcf.gz",
        table="<results>/variants/{set}/{model}.parquet",
        features="<results>/variants/{set}/{model}.features.safetensors",
    log:
        "<logs>/score_variants_with_features/{set}/{model}.log",
    benchmark:
        "<benchmarks>/score_variants_with_features/{set}/{model}.jsonl"
    wildcard_constraints:
        set="|".join(map(re.escape, SCORED_WITH_FEATURES)) or NOTHING,


rule index_scores:
    """Index a VCF file of scored variants."""
    input:
        vcf="<results>/variants/{set}/{model}.vcf.gz",
    output:
        index="<results>/variants/{set}/{model}.vcf.gz.{index}",
    log:
        "<logs>/index_scores/{set}/{model}.{index}.log",
    benchmark:
        "<benchmarks>/index_scores/{set}/{model}.{index}.jsonl"
    wildcard_constraints:
        index="tbi|csi",
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/index_scores.py"


rule write_variant_table:
    """Write the table of scores as text; made only when asked for."""
    input:
        table="<results>/variants/{set}/{model}.parquet",
    output:
        text="<results>/variants/{set}/{model}.tsv.gz",
    log:
        "<logs>/write_variant_table/{set}/{model}.log",
    benchmark:
        "<benchmarks>/write_variant_table/{set}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    script:
        "../scripts/write_variant_table.py"
