from snakemake.utils import min_version

min_version("9.20")


configfile: workflow.source_path("config.yaml")


report: "resources/captions/workflow.rst"


# The configuration, merged and checked, and what a run consists of.
include: "rules/common/configuration.smk"
include: "rules/common/selection.smk"
include: "rules/common/requirements.smk"
include: "rules/common/batches.smk"
# What the rules of each stage are given: functions of their wildcards.
include: "rules/common/download.smk"
include: "rules/common/genomes.smk"
include: "rules/common/species.smk"
include: "rules/common/haplotypes.smk"
include: "rules/common/corpus.smk"
include: "rules/common/pretrain.smk"
include: "rules/common/weights.smk"
include: "rules/common/tasks.smk"
include: "rules/common/audit.smk"
include: "rules/common/embed.smk"
include: "rules/common/probe.smk"
include: "rules/common/finetune.smk"
include: "rules/common/predictions.smk"
include: "rules/common/variants.smk"
include: "rules/common/variant_benchmarks.smk"
include: "rules/common/likelihoods.smk"
include: "rules/common/interpretation.smk"
include: "rules/common/tables.smk"
include: "rules/common/report.smk"
include: "rules/common/partial.smk"
include: "rules/common/estimates.smk"
include: "rules/common/targets.smk"
# From genomes to corpora.
include: "rules/download.smk"
include: "rules/genomes.smk"
include: "rules/species.smk"
include: "rules/haplotypes.smk"
include: "rules/corpus.smk"
# From corpora, or published weights, to models.
include: "rules/pretrain.smk"
include: "rules/weights.smk"
# From tasks and models to scores.
include: "rules/tasks.smk"
include: "rules/audit.smk"
include: "rules/embed.smk"
include: "rules/probe.smk"
include: "rules/finetune.smk"
include: "rules/predictions.smk"
include: "rules/variants.smk"
include: "rules/interpretation.smk"
include: "rules/likelihoods.smk"
# From results to pages.
include: "rules/variant_benchmarks.smk"
include: "rules/tables.smk"
include: "rules/report.smk"
include: "rules/partial.smk"
include: "rules/estimates.smk"
include: "rules/targets.smk"


onerror:
    explain_failure(log)


localrules:
    all,


# Here and not in targets.smk: Snakemake takes no default target from an included file.
rule all:
    """Everything that `run:` and the sections that it names ask for, ending in the report."""
    default_target: True
    input:
        get_products,
