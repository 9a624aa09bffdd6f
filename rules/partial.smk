"""The page of a run of which jobs failed.

Required inputs: none: what of the results there is by now is read, and nothing is made for it
Outputs: <results>/report_partial.html
"""


rule make_partial_report:
    """Draw the page of the results that are there; its first lines say which are missing, and why."""
    input:
        published=PUBLISHED_SCORES,
    output:
        page="<results>/report_partial.html",
    log:
        "<logs>/make_partial_report.log",
    benchmark:
        "<benchmarks>/make_partial_report.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        expected=get_expected_results,
        described=get_described,
        files=get_named_files,
        identities=get_identities,
        beside=get_finished_tables,
        jobs=get_stopped_jobs,
        products=get_missing_products,
        state=get_state,
        report=lookup("report", within=config),
        benchmarks=get_place("<benchmarks>"),
        logs=get_place("<logs>"),
        snakemake=get_snakemake_version,
    script:
        "../scripts/make_partial_report.py"
