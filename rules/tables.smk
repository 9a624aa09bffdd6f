"""From every result of a run to its tables.

Required inputs: all scores, summaries, predictions, audits, locations, manifests and
    histories of the run
Outputs: <results>/tables/*.tsv
"""


rule make_tables:
    """Join every score with its data set, its baselines and the published value."""
    input:
        unpack(get_results),
        published=PUBLISHED_SCORES,
    output:
        **get_table_outputs(BENCHMARK),
    log:
        "<logs>/make_tables.log",
    benchmark:
        "<benchmarks>/make_tables.jsonl"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=16000,  # predictions of bases, where their classes are rare, take less than 1,000
    params:
        results=get_result_files,
        files=get_named_files,
        identities=get_identities,
        bootstrap=lookup("report/bootstrap", within=config),
        correction=lookup("report/correction", within=config),
        leak=lookup("report/leak", within=config),
        equal=lookup("report/equal", within=config),
    script:
        "../scripts/make_tables.py"
