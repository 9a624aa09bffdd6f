from snakemake.utils import min_version

min_version("9.20")


configfile: workflow.source_path("config.yaml")


report: "resources/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/selection.smk"
include: "rules/sources.smk"
include: "rules/inputs.smk"
include: "rules/panels.smk"
include: "rules/results.smk"
include: "rules/genomes.smk"
include: "rules/species.smk"
include: "rules/haplotypes.smk"
include: "rules/corpus.smk"
include: "rules/pretrain.smk"
include: "rules/weights.smk"
include: "rules/tasks.smk"
include: "rules/audit.smk"
include: "rules/embed.smk"
include: "rules/probe.smk"
include: "rules/finetune.smk"
include: "rules/tables.smk"
include: "rules/report.smk"
include: "rules/targets.smk"


localrules:
    all,


# Here and not in targets.smk: Snakemake takes no default target from an included file.
rule all:
    """Everything that `run:` in the configuration asks for, ending in the report."""
    default_target: True
    input:
        get_pages,
