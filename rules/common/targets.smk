"""What to say where a target makes nothing."""

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


def warn_of_empty_targets():
    """Say of targets on the command line that they make nothing, and what to change."""
    for target in list_targets():
        if target in LACKING and is_empty(target):
            logger.warning(f"The target {target} makes nothing: {LACKING[target]}.")
