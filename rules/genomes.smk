"""From addresses and files to stored bases.

Required inputs: genomes of the configuration; for `downloads` also every other source of
    the run
Outputs: <results>/downloads/{address}, <results>/hub/{kind}/{entry}.json, <results>/genomes/{genome}/{bases.npy, contigs.tsv,
    manifest.json}
"""


rule download_file:
    """Fetch one file, from the mirror if it holds a copy, and check its sum."""
    output:
        # Not removed before another run, as after a change of the script: what is there is checked.
        file=update("<results>/downloads/{address}"),
    log:
        "<logs>/download_file/{address}.log",
    benchmark:
        "<benchmarks>/download_file/{address}.jsonl"
    wildcard_constraints:
        address=NOT_OF_HUBS,
    priority: 1  # pretraining waits for it
    localrule: True
    conda:
        "../envs/genomics.yaml"
    resources:
        downloads=1,
    params:
        download=get_download,
        lock=get_place("<results>/downloads.lock.tsv"),
    script:
        "../scripts/download_file.py"


rule fetch_repository:
    """Fetch what a model or task needs of a hub's repository; list which files these are."""
    output:
        listing="<results>/hub/{kind}/{entry}.json",
    log:
        "<logs>/fetch_repository/{kind}/{entry}.log",
    benchmark:
        "<benchmarks>/fetch_repository/{kind}/{entry}.jsonl"
    wildcard_constraints:
        kind="models|tasks",
        entry=NAME,
    priority: 1  # everything waits for it
    localrule: True
    conda:
        "../envs/genomics.yaml"
    resources:
        downloads=1,
    params:
        repository=get_repository,
        sha256=get_repository_sums,
        folder=get_place("<results>/downloads"),
        lock=get_place("<results>/downloads.lock.tsv"),
    script:
        "../scripts/fetch_repository.py"


rule mirror_file:
    """Put a file that was fetched before `mirror:` was set into the mirror."""
    input:
        file=ancient("<results>/downloads/{address}"),
    output:
        mirrored=f"{config['mirror'] or '<results>/mirror'}/{{address}}",
    log:
        "<logs>/mirror_file/{address}.log",
    benchmark:
        "<benchmarks>/mirror_file/{address}.jsonl"
    wildcard_constraints:
        address="|".join(map(re.escape, [*DOWNLOADS, *FETCHED])) or "-",
    localrule: True
    conda:
        "../envs/genomics.yaml"
    script:
        "../scripts/mirror_file.py"


# A user may name the downloads of another run as the mirror, or even this run's.
ruleorder: download_file > mirror_file


rule simulate_genome:
    """Make a small genome with genes, promoters and enhancers, for runs without real data."""
    output:
        fasta="<results>/simulated/{genome}/genome.fa.gz",
        annotation="<results>/simulated/{genome}/annotation.gtf.gz",
        promoters="<results>/simulated/{genome}/promoters.bed",
        enhancers="<results>/simulated/{genome}/enhancers.bed",
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
