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
    script:
        "../scripts/make_tables.py"


rule make_report:
    """Draw the figures and write the page."""
    input:
        scores="<results>/tables/scores.tsv",
        summary="<results>/tables/summary.tsv",
        layers="<results>/tables/layers.tsv",
        comparisons="<results>/tables/comparisons.tsv",
        lift="<results>/tables/lift.tsv",
        curves="<results>/tables/curves.tsv",
        genomes="<results>/tables/genomes.tsv",
        corpora="<results>/tables/corpora.tsv",
        models="<results>/tables/models.tsv",
        tasks="<results>/tables/tasks.tsv",
    output:
        summary="<results>/summary.txt",
        page=report(
            "<results>/report.html", caption="../resources/captions/report.rst", category="Report"
        ),
    log:
        "<logs>/make_report.log",
    benchmark:
        "<benchmarks>/make_report.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        report=lookup("report", within=config),
        benchmarks=workflow.pathvars.apply("<benchmarks>"),
    script:
        "../scripts/make_report.py"
