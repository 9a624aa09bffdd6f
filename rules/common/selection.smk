"""What a run consists of: its models, tasks and other entries, in names that all rules use."""

MODELS = config["run"]["models"]
PRETRAINED = [
    model
    for model in [*MODELS, *config["run"]["pretrain_only"]]
    if "corpus" in config["models"][model]
]
FOREIGN = [model for model in MODELS if weights.is_foreign(config, model)]
EMBEDDINGS_ALONE = [model for model in FOREIGN if not weights.has_embedder(config, model)]
ENCODERS = [model for model in MODELS if model not in FOREIGN]
IMPORTED = [model for model in ENCODERS if model not in PRETRAINED]
LOADED = weights.list_loaded(config)  # of all models, those that rule import_weights makes
TASKS = resolve.select_tasks(config)
# Probes and most baselines see one vector for each sequence, so they leave out a task of bases.
POOLED = [task for task in TASKS if kinds.is_pooled(config["tasks"][task])]
OF_BASES = [task for task in TASKS if task not in POOLED]
FINETUNES = [name for name in config["run"]["methods"] if name not in methods.PROBE_NAMES]
# Those with a form in `peft`; others need none, as a head, or are the whole encoder.
IN_PEFT = [
    name
    for name in FINETUNES
    if methods.find_adapter(config["finetune"]["methods"][name]["adapter"]).in_peft
]
# Folders of the results of the probes that are run.
PROBES = [probe.folder for probe in methods.PROBES if probe.name in config["run"]["methods"]]
BASELINES = [name for name in config["run"]["baselines"] if name in methods.SEQUENCE_BASELINES]
UNTRAINED = [
    f"{model}{resolve.UNTRAINED}"
    for model in ENCODERS
    if methods.UNTRAINED.name in config["run"]["baselines"]
]
PROBED = [*MODELS, *UNTRAINED] if PROBES else []
TUNED_FOREIGN = [model for model in FOREIGN if weights.is_tunable(config, model)]
TUNED = [*ENCODERS, *(UNTRAINED if config["run"]["finetune_untrained"] else [])]
PREDICTIONS = resolve.select_predictions(config)
# Of bases with a genome there are tracks along it, too; of all other kinds tables of text.
PREDICTED_ROWS = [
    p for p in PREDICTIONS if kinds.is_pooled(config["tasks"][PREDICTIONS[p]["task"]])
]
PREDICTED_TRACKS = [p for p in PREDICTIONS if p not in PREDICTED_ROWS and "bed" in PREDICTIONS[p]]
PREDICTED_BASES = [p for p in PREDICTIONS if p not in [*PREDICTED_ROWS, *PREDICTED_TRACKS]]
VARIANTS = resolve.select_variants(config)
SCORED_WITH_FEATURES = [
    name for name in config["variants"] if prioritisation.needs_features(config, name)
]
SCORED = [name for name in config["variants"] if name not in SCORED_WITH_FEATURES]
ANNOTATIONS = annotations.select_annotations(config)
SNPS, ASSAYS, TRACKS = (
    likelihoods.select_entries(config, section) for section in likelihoods.DEFAULTS
)
MASKED = [*SNPS.values(), *ASSAYS.values(), *TRACKS.values()]
# What is made where it is asked for: a prediction, or scores of variants, may be of a model or task
# that the run, and so its report, does not have.
SCORED_ENTRIES = [*VARIANTS.values(), *prioritisation.select_references(config, VARIANTS)]
SCORING = [
    model.removesuffix(resolve.UNTRAINED)
    for entry in [*SCORED_ENTRIES, *ANNOTATIONS.values(), *MASKED]
    for model in entry["models"]
]
EMBEDDERS = [
    model
    for model in dict.fromkeys(
        [*FOREIGN, *SCORING, *(p["model"] for p in PREDICTIONS.values() if "model" in p)]
    )
    if weights.has_embedder(config, model)
]
NEEDED_MODELS = list(
    dict.fromkeys(
        [
            *PRETRAINED,
            *IMPORTED,
            *(p["model"] for p in PREDICTIONS.values() if "model" in p),
            *SCORING,
        ]
    )
)
NEEDED_TASKS = list(dict.fromkeys([*TASKS, *(p["task"] for p in PREDICTIONS.values())]))


wildcard_constraints:
    genome=NAME,
    corpus=NAME,
    model=NAME,
    task=NAME,
    panel=NAME,
    contig=r"[^/]+",
    method="|".join(map(re.escape, config["finetune"]["methods"])),
    part=r"\d+",
    prediction=NAME,
    set=NAME,
    annotation=NAME,
    snps=NAME,
    assay=NAME,
    track=NAME,
    frame=r"\d+",
