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


warn_of_empty_targets()
