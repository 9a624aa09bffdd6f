"""From a configuration alone to hours, memory and disk of what it asks for.

Required inputs: none; tables of tasks and genomes that are there make the estimates exact
Outputs: <results>/estimates.tsv, <results>/estimates/{stages.tsv, hours.txt, rates.json}
"""


rule estimate_models:
    """Tabulate the memory per GPU, the speed and the days that the models should take."""
    input:
        runs=expand("<results>/models/{model}/run.json", model=PRETRAINED),
        operations=expand("<results>/models/{model}/operation.json", model=PRETRAINED),
    output:
        "<results>/estimates.tsv",
    log:
        "<logs>/estimate_models.log",
    benchmark:
        "<benchmarks>/estimate_models.jsonl"
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        operations=get_operations,
        corpora={corpus: resolve.resolve_corpus(config, corpus, []) for corpus in CORPORA},
        estimate=lookup("estimate", within=config),
    script:
        "../scripts/estimate_models.py"


rule estimate_stages:
    """Measure this machine for a minute and tabulate the hours of every stage, here and on GPUs."""
    output:
        table="<results>/estimates/stages.tsv",
        summary="<results>/estimates/hours.txt",
        rates="<results>/estimates/rates.json",
    log:
        "<logs>/estimate_stages.log",
    benchmark:
        "<benchmarks>/estimate_stages.jsonl"
    localrule: True
    conda:
        "../envs/estimates.yaml"
    params:
        workload=get_workload,
    script:
        "../scripts/estimate_stages.py"
