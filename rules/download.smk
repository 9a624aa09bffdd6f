"""From the network, or a mirror, to files.

Required inputs: every source of the run: genomes, panels, tasks, weights
Outputs: <results>/downloads/{address}, <results>/hub/{kind}/{entry}.json
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
