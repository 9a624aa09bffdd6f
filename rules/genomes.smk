"""From addresses and files to stored bases.

Required inputs: path, url (<results>/downloads/{address}) or simulate of a genome
Outputs: <results>/genomes/{genome}/{bases.npy, contigs.tsv, manifest.json}
"""


rule simulate_genome:
    """Make a small genome with genes, promoters and enhancers, for runs without real data."""
    output:
        fasta="<results>/simulated/{genome}/genome.fa.gz",
        annotation="<results>/simulated/{genome}/annotation.gtf.gz",
        promoters="<results>/simulated/{genome}/promoters.bed",
        enhancers="<results>/simulated/{genome}/enhancers.bed",
        clusters="<results>/simulated/{genome}/clusters.bed",
    log:
        "<logs>/simulate_genome/{genome}.log",
    benchmark:
        "<benchmarks>/simulate_genome/{genome}.jsonl"
    priority: 1  # pretraining waits for it
    conda:
        "../envs/genomics.yaml"
    params:
        simulate=get_simulation,
    script:
        "../scripts/simulate_genome.py"


rule encode_genome:
    """Clean a FASTA file and store its bases, one byte each."""
    input:
        source=get_genome_source,
    output:
        bases="<results>/genomes/{genome}/bases.npy",
        contigs="<results>/genomes/{genome}/contigs.tsv",
        manifest="<results>/genomes/{genome}/manifest.json",
    log:
        "<logs>/encode_genome/{genome}.log",
    benchmark:
        "<benchmarks>/encode_genome/{genome}.jsonl"
    priority: 1  # pretraining waits for it
    conda:
        "../envs/genomics.yaml"
    params:
        genome=get_genome_row,
    script:
        "../scripts/encode_genome.py"


rule write_fasta:
    """Write a genome's clean FASTA file; made only when asked for."""
    input:
        bases="<results>/genomes/{genome}/bases.npy",
        contigs="<results>/genomes/{genome}/contigs.tsv",
    output:
        fasta="<results>/genomes/{genome}/genome.fa",
    log:
        "<logs>/write_fasta/{genome}.log",
    benchmark:
        "<benchmarks>/write_fasta/{genome}.jsonl"
    conda:
        "../envs/genomics.yaml"
    script:
        "../scripts/write_fasta.py"
