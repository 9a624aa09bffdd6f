"""From tables to pages.

Required inputs: <results>/tables/*.tsv; <benchmarks>; of pretraining
    <results>/models/{model}/history.jsonl
Outputs: <results>/report.html, <results>/report.json, <results>/summary.txt,
    <results>/pretrain_summary.html
"""


rule make_report:
    """Draw the figures and write the page."""
    input:
        unpack(get_tables),
    output:
        summary="<results>/summary.txt",
        data="<results>/report.json",
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
        benchmarks=get_place("<benchmarks>"),
        configuration=config,
        workflow=get_workflow_facts,
    script:
        "../scripts/make_report.py"


rule summarise_pretraining:
    """Draw the curves of all pretrained models and tabulate what they learned and took."""
    input:
        runs=expand("<results>/models/{model}/run.json", model=PRETRAINED),
        histories=expand("<results>/models/{model}/history.jsonl", model=PRETRAINED),
        corpora=expand("<results>/corpora/{corpus}/manifest.json", corpus=CORPORA),
        published=workflow.source_path("../resources/published_scores.tsv"),
    output:
        **get_table_outputs(PRETRAINING),
        page=report(
            "<results>/pretrain_summary.html",
            caption="../resources/captions/pretrain_summary.rst",
            category="Report",
        ),
    log:
        "<logs>/summarise_pretraining.log",
    benchmark:
        "<benchmarks>/summarise_pretraining.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        histories=get_histories,
        identities=get_identities,
        bootstrap=lookup("report/bootstrap", within=config),
        title=lookup("report/title", within=config),
    script:
        "../scripts/summarise_pretraining.py"
