"""Names of what people ask for.

Required inputs: what the run consists of (rules/common/selection.smk)
Outputs: none of their own
"""


localrules:
    report,
    report_partial,
    downloads,
    corpora,
    token_shards,
    estimates,
    check_cluster,
    models,
    check_embedder,
    pretrain_summary,
    exports,
    embeddings,
    probes,
    finetunes,
    adapter_exports,
    predictions,
    variants,
    interpretation,
    tasks,
    audits,


rule report:
    """The pages of the default target, by its name."""
    input:
        get_pages,


rule report_partial:
    """Write the page of what is finished of a run with failed jobs; it starts no other job."""
    input:
        "<results>/report_partial.html",


rule pretrain_summary:
    """Curves, masked-token accuracy, speed and memory of the pretrained models; no benchmark."""
    input:
        "<results>/pretrain_summary.html",


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
        expand("<results>/models/{model}/token_shards", model=PRETRAINED),


rule estimates:
    """Tabulate hours, memory and disk of all that the run asks for; nothing else is needed."""
    input:
        "<results>/estimates.tsv",
        "<results>/estimates/hours.txt",


rule check_cluster:
    """Start every training for two minutes: pre-flight and the speed of an all-reduce, no step."""
    input:
        expand("<results>/models/{model}/cluster_check.json", model=PRETRAINED),


rule check_embedder:
    """Open every model that is not ours and check its states and spans; nothing is embedded."""
    input:
        expand("<results>/models/{model}/embedder.json", model=EMBEDDERS),


rule models:
    """Pretrain the models, or load those that have weights."""
    input:
        expand("<results>/models/{model}/weights.safetensors", model=[*PRETRAINED, *IMPORTED]),


rule exports:
    """Write the models as folders that `transformers` opens."""
    input:
        expand("<results>/models/{model}/export/README.md", model=[*PRETRAINED, *IMPORTED]),


rule tasks:
    """Make the tables of the tasks that are run; no model is needed."""
    input:
        expand("<results>/tasks/{task}.parquet", task=TASKS),


rule audits:
    """Audit the tasks that are run for leaks between their splits; no model is needed."""
    input:
        expand("<results>/audits/{task}.json", task=TASKS),


rule embeddings:
    """Embed every task with every model, but for tasks of bases."""
    input:
        expand(
            "<results>/embeddings/{model}/{task}.safetensors",
            model=PROBED,
            task=POOLED,
        ),
        get_exported_embeddings,


rule probes:
    """Probe every layer of every model on every task, but for tasks of bases."""
    input:
        expand("<results>/{probe}/{model}/{task}.tsv", probe=PROBES, model=PROBED, task=POOLED),


rule finetunes:
    """Fine-tune every model on every task."""
    input:
        list_finetunes("<results>/finetunes/{method}/{model}/{task}/scores.tsv"),


rule adapter_exports:
    """Fine-tune every model on every task, and write the adapters as folders that `peft` opens."""
    input:
        expand(PEFT_FOLDER, method=IN_PEFT, model=[*ENCODERS, *STOCK_TUNED], task=TASKS),


rule predictions:
    """Predict what `predictions:` names, training what it takes."""
    input:
        get_predictions,


rule variants:
    """Score the variants that `variants:` names, training what it takes."""
    input:
        get_scored_variants,
        get_variant_benchmarks,


rule interpretation:
    """Look at what models have learned of the genomes that `annotations:` names."""
    input:
        get_interpretation,


UNPRETRAINED = "run.models and run.pretrain_only name no model with a `corpus`"
NO_MODEL = "run.models and run.pretrain_only name no model of ours"
NO_TASK = "run.tasks names no task"
NO_PROBE = "run.models is empty, run.methods names no probe, or run.tasks no task of sequences"
# What to change where a target makes nothing.
LACKING = {
    "corpora": UNPRETRAINED,
    "token_shards": UNPRETRAINED,
    "check_cluster": UNPRETRAINED,
    "models": NO_MODEL,
    "exports": NO_MODEL,
    "check_embedder": "the run has no model that is not ours and that it computes with",
    "tasks": NO_TASK,
    "audits": NO_TASK,
    "embeddings": NO_PROBE,
    "probes": NO_PROBE,
    "finetunes": "run.models is empty, run.methods names no fine-tuning, or run.tasks no task",
    "adapter_exports": "run.methods names none that peft has, or run.models and run.tasks nothing",
    "predictions": "`predictions:` and run.predictions name none",
    "variants": "`variants:` and run.variants name none",
    "interpretation": "`annotations:`, `snps:`, `assays:` and `tracks:` have no entry that is run",
}


def is_empty(target):
    """Return whether a target asks for no file."""
    parts = getattr(rules, target).input
    return not any(part(None) if callable(part) else part for part in parts)


for target in list_targets():
    if target in LACKING and is_empty(target):
        logger.warning(f"The target {target} makes nothing: {LACKING[target]}.")
