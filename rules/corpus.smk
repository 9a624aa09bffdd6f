"""From bases to windows, splits and held-out tokens.

Required inputs: <results>/genomes/{genome}, <results>/haplotypes/{panel}/contigs
Outputs: <results>/corpora/{corpus}/{manifest.json, validation.npy, test.npy,
    kmer_counts.npy}; on demand <results>/models/{model}/token_shards
"""


rule build_corpus:
    """Lay windows over the genomes, split them, and fix the validation and test tokens."""
    input:
        bases=get_bases,
        contigs=get_contigs,
        manifests=get_manifests,
        haplotypes=get_haplotypes,
    output:
        manifest="<results>/corpora/{corpus}/manifest.json",
        validation="<results>/corpora/{corpus}/validation.npy",
        test="<results>/corpora/{corpus}/test.npy",
        kmer_counts="<results>/corpora/{corpus}/kmer_counts.npy",
    log:
        "<logs>/build_corpus/{corpus}.log",
    benchmark:
        "<benchmarks>/build_corpus/{corpus}.jsonl"
    priority: 1  # pretraining waits for it
    conda:
        "../envs/genomics.yaml"
    params:
        corpus=get_corpus_settings,
        genomes=get_folders,
        panel=get_panel_folder,
    script:
        "../scripts/build_corpus.py"


rule write_token_shards:
    """Write epochs of a model's training windows as token arrays, in the trainer's order."""
    input:
        manifest=get_model_manifest,
        run="<results>/models/{model}/run.json",
        bases=get_model_bases,
        haplotypes=get_model_haplotypes,
    output:
        shards=directory("<results>/models/{model}/token_shards"),
    log:
        "<logs>/write_token_shards/{model}.log",
    benchmark:
        "<benchmarks>/write_token_shards/{model}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        genomes=get_model_folders,
        panels=get_place("<results>/haplotypes"),
        shards=lookup("token_shards", within=config),
    script:
        "../scripts/write_token_shards.py"
