"""From tables to pages.

Required inputs: <results>/tables/*.tsv, of variants and interpretation too where the run
    has these; <benchmarks>; of pretraining
    <results>/models/{model}/history.jsonl; of variants
    <results>/variant_benchmarks/{set}/evaluation.json
Outputs: <results>/report.html, <results>/report.json, <results>/summary.txt,
    <results>/pretrain_summary.html, <results>/variants.html
"""


rule make_report:
    """Draw the figures and write the page."""
    input:
        unpack(get_tables),
        variants=get_variant_tables,
        interpretation=get_interpretation_tables,
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
        logs=get_place("<logs>"),
        snakemake=get_snakemake_version,
    script:
        "../scripts/make_report.py"


rule summarise_pretraining:
    """Draw the curves of all pretrained models and tabulate what they learned and took."""
    input:
        runs=expand("<results>/models/{model}/run.json", model=PRETRAINED),
        histories=expand("<results>/models/{model}/history.jsonl", model=PRETRAINED),
        corpora=expand("<results>/corpora/{corpus}/manifest.json", corpus=CORPORA),
        published=PUBLISHED_SCORES,
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


rule report_variants:
    """Tabulate and draw how well scores of variants do, beside published values."""
    input:
        evaluations=get_variant_evaluations,
        percentiles=get_percentiles,
        published=PUBLISHED_SCORES,
    output:
        **get_table_outputs(OF_VARIANTS),
        page=report(
            "<results>/variants.html",
            caption="../resources/captions/variants.rst",
            category="Report",
        ),
    log:
        "<logs>/report_variants.log",
    benchmark:
        "<benchmarks>/report_variants.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        title=lookup("report/title", within=config),
        level=lookup("variant_benchmark/bootstrap/level", within=config),
    script:
        "../scripts/report_variants.py"
