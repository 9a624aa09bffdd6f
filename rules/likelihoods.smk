"""From models to the probabilities that they give masked tokens: of SNPs, in assays, along genomes.

Required inputs: <results>/models/{model}; <results>/haplotypes/{panel}; <results>/genomes/{genome};
    assays.*.table
Outputs: <results>/interpretation/snps/{snps}.parquet;
    <results>/interpretation/snps/{snps}/{model}.{tsv, parquet};
    <results>/interpretation/assays/{assay}/{model}.{tsv, parquet};
    <results>/interpretation/tracks/{track}/{model}.frame{frame}/
"""


rule choose_snps:
    """Choose SNPs of a panel by frequency, and haplotypes that carry either allele."""
    input:
        unpack(get_snp_panel),
        samples=get_snp_samples,
    output:
        chosen="<results>/interpretation/snps/{snps}.parquet",
    log:
        "<logs>/choose_snps/{snps}.log",
    benchmark:
        "<benchmarks>/choose_snps/{snps}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        settings=get_snp_settings,
    script:
        "../scripts/choose_snps.py"


rule score_snps:
    """Predict masked SNPs on the haplotypes of people who carry REF and of such who carry ALT."""
    input:
        unpack(get_masked_snps),
        chosen="<results>/interpretation/snps/{snps}.parquet",
    output:
        summary="<results>/interpretation/snps/{snps}/{model}.tsv",
        tokens="<results>/interpretation/snps/{snps}/{model}.parquet",
    log:
        "<logs>/score_snps/{snps}/{model}.log",
    benchmark:
        "<benchmarks>/score_snps/{snps}/{model}.jsonl"
    conda:
        get_model_environment
    resources:
        gpu=1,
    params:
        settings=get_masking_settings,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/score_snps.py"


rule score_assay:
    """Hold scores of variants against the effects that an assay has measured."""
    input:
        unpack(get_assay_files),
    output:
        summary="<results>/interpretation/assays/{assay}/{model}.tsv",
        variants="<results>/interpretation/assays/{assay}/{model}.parquet",
    log:
        "<logs>/score_assay/{assay}/{model}.log",
    benchmark:
        "<benchmarks>/score_assay/{assay}/{model}.jsonl"
    conda:
        get_model_environment
    resources:
        gpu=1,
    params:
        settings=get_assay_settings,
        batches=get_assay_batches,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/score_assay.py"


rule write_tracks:
    """Write the probabilities of a genome's own tokens and bases, each masked, as tracks."""
    input:
        unpack(get_tracked_genome),
    output:
        tracks=directory("<results>/interpretation/tracks/{track}/{model}.frame{frame}"),
    log:
        "<logs>/write_tracks/{track}/{model}.frame{frame}.log",
    benchmark:
        "<benchmarks>/write_tracks/{track}/{model}.frame{frame}.jsonl"
    conda:
        get_model_environment
    resources:
        gpu=1,
    params:
        settings=get_track_settings,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/write_tracks.py"
