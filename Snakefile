from snakemake.utils import min_version

min_version("9.20")


configfile: workflow.source_path("config.yaml")


report: "resources/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/genomes.smk"
include: "rules/corpus.smk"
include: "rules/pretrain.smk"
include: "rules/tasks.smk"
include: "rules/embed.smk"
include: "rules/probe.smk"
include: "rules/finetune.smk"
include: "rules/report.smk"


localrules:
    all,
    downloads,
    corpora,
    token_shards,
    models,
    embeddings,
    probes,
    finetunes,


rule all:
    """Everything that `run:` in the configuration asks for, ending in the report."""
    default_target: True
    input:
        "<results>/report.html",


rule downloads:
    """Fetch every file that the configuration needs (into `mirror:` too, where one is set)."""
    input:
        get_downloads(),


rule corpora:
    """Make the tokenized data sets of the models that are run."""
    input:
        expand("<results>/corpora/{corpus}/manifest.json", corpus=CORPORA),


rule token_shards:
    """Write epochs of training windows as shards, token for token what the trainer draws."""
    input:
        expand("<results>/models/{model}/token_shards", model=MODELS),


rule models:
    """Pretrain the models."""
    input:
        expand("<results>/models/{model}/weights.safetensors", model=MODELS),


rule embeddings:
    """Embed every task with every model."""
    input:
        expand("<results>/embeddings/{model}/{task}.safetensors", model=PROBED, task=TASKS),


rule probes:
    """Probe every layer of every model on every task."""
    input:
        expand("<results>/probes/{model}/{task}.tsv", model=PROBED, task=TASKS),


rule finetunes:
    """Fine-tune every model on every task."""
    input:
        expand(
            "<results>/finetunes/{method}/{model}/{task}/scores.tsv",
            method=FINETUNES,
            model=MODELS,
            task=TASKS,
        ),
