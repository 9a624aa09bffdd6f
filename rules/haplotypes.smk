"""From phased variants to the haplotypes that each sample carries.

Required inputs: panels.*.url or path: phased VCF or BCF; <results>/genomes/{genome}
Outputs: <results>/haplotypes/{panel}/{contigs/, manifest.json, samples.tsv}
"""


rule index_variants:
    """Index a file of several contigs, beside our results; whatever index it has is left alone."""
    input:
        variants=get_indexed_variants,
    output:
        index="<results>/haplotypes/{panel}/variants.csi",
    log:
        "<logs>/index_variants/{panel}.log",
    benchmark:
        "<benchmarks>/index_variants/{panel}.jsonl"
    priority: 1  # pretraining waits for it
    conda:
        "../envs/genomics.yaml"
    script:
        "../scripts/index_variants.py"


rule build_haplotypes:
    """Store which variants every haplotype of one contig carries, overlaps resolved."""
    input:
        unpack(get_panel_genome),
        variants=get_variants,
        index=get_variant_index,
    output:
        store=directory("<results>/haplotypes/{panel}/contigs/{contig}"),
    log:
        "<logs>/build_haplotypes/{panel}/{contig}.log",
    benchmark:
        "<benchmarks>/build_haplotypes/{panel}/{contig}.jsonl"
    priority: 1  # pretraining waits for it
    conda:
        "../envs/genomics.yaml"
    params:
        panel=get_panel_settings,
    script:
        "../scripts/build_haplotypes.py"


rule describe_panel:
    """Join what the contigs of a panel hold, and the populations of its samples, for the report."""
    input:
        stores=get_panel_stores,
        populations=get_populations,
    output:
        manifest="<results>/haplotypes/{panel}/manifest.json",
        samples="<results>/haplotypes/{panel}/samples.tsv",
    log:
        "<logs>/describe_panel/{panel}.log",
    benchmark:
        "<benchmarks>/describe_panel/{panel}.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        genome=get_panel_genome_name,
    script:
        "../scripts/describe_panel.py"
