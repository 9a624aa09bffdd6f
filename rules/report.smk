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
    log:
        "<logs>/make_tables.log",
    benchmark:
        "<benchmarks>/make_tables.jsonl"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/make_tables.py"


rule make_report:
    """Draw the figures and write the page."""
    input:
        summary="<results>/tables/summary.tsv",
    output:
        report(
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
    script:
        "../scripts/make_report.py"
