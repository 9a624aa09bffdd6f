"""From every result of a run to its tables.

Required inputs: all scores, summaries, predictions, audits, locations, manifests and
    histories of the run
Outputs: <results>/tables/*.tsv
"""


rule make_tables:
    """Join every score with its data set, its baselines and the published value."""
    input:
        unpack(get_results),
        published=workflow.source_path("../resources/published_scores.tsv"),
    output:
        scores=report(
            "<results>/tables/scores.tsv",
            caption="../resources/captions/scores.rst",
            category="Tables",
        ),
        summary=report(
            "<results>/tables/summary.tsv",
            caption="../resources/captions/summary.rst",
            category="Tables",
        ),
        layers=report(
            "<results>/tables/layers.tsv",
            caption="../resources/captions/layers.rst",
            category="Tables",
        ),
        comparisons=report(
            "<results>/tables/comparisons.tsv",
            caption="../resources/captions/comparisons.rst",
            category="Tables",
        ),
        lift=report(
            "<results>/tables/lift.tsv",
            caption="../resources/captions/lift.rst",
            category="Tables",
        ),
        audits=report(
            "<results>/tables/audits.tsv",
            caption="../resources/captions/audits.rst",
            category="Tables",
        ),
        exposure=report(
            "<results>/tables/exposure.tsv",
            caption="../resources/captions/exposure.rst",
            category="Tables",
        ),
        curves=report(
            "<results>/tables/curves.tsv",
            caption="../resources/captions/curves.rst",
            category="Tables",
        ),
        genomes=report(
            "<results>/tables/genomes.tsv",
            caption="../resources/captions/genomes.rst",
            category="Tables",
        ),
        corpora=report(
            "<results>/tables/corpora.tsv",
            caption="../resources/captions/corpora.rst",
            category="Tables",
        ),
        groups=report(
            "<results>/tables/groups.tsv",
            caption="../resources/captions/groups.rst",
            category="Tables",
        ),
        kmers=report(
            "<results>/tables/kmers.tsv",
            caption="../resources/captions/kmers.rst",
            category="Tables",
        ),
        panels=report(
            "<results>/tables/panels.tsv",
            caption="../resources/captions/panels.rst",
            category="Tables",
        ),
        haplotypes=report(
            "<results>/tables/haplotypes.tsv",
            caption="../resources/captions/haplotypes.rst",
            category="Tables",
        ),
        models=report(
            "<results>/tables/models.tsv",
            caption="../resources/captions/models.rst",
            category="Tables",
        ),
        tasks=report(
            "<results>/tables/tasks.tsv",
            caption="../resources/captions/tasks.rst",
            category="Tables",
        ),
    log:
        "<logs>/make_tables.log",
    benchmark:
        "<benchmarks>/make_tables.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        identities=get_identities,
        bootstrap=lookup("report/bootstrap", within=config),
        correction=lookup("report/correction", within=config),
        leak=lookup("report/leak", within=config),
    script:
        "../scripts/make_tables.py"
