"""What a run consists of: its models, tasks, genomes and downloads, in names that all rules use."""


def collect_genomes(models, tasks, genomes):
    """Return {corpus: its genomes in order} and {genome: row} of what these and `genomes` need."""
    corpora, rows = {}, dict(config["genomes"])
    for corpus in sorted(
        {
            config["models"][model]["corpus"]
            for model in models
            if "corpus" in config["models"][model]
        }
    ):
        entry = config["corpora"][corpus]
        sheet = read_sheet(entry["sheet"]) if "sheet" in entry else {}
        if twice := sheet.keys() & config["genomes"].keys():
            raise InputError(
                f"{entry['sheet']}: '{min(twice)}' is also a key of genomes; rename one."
            )
        rows.update(sheet)
        corpora[corpus] = entry.get("genomes", []) + list(sheet)
        if entry["split"]["by"] == "genome":  # before hours of downloads
            assign_splits(corpus, entry["split"], dict.fromkeys(corpora[corpus], [""]))
    builds = [config["tasks"][task].get("build", {}).get("genome") for task in tasks]
    needed = dict.fromkeys([*sum(corpora.values(), []), *filter(None, builds), *genomes])
    return corpora, {name: rows[name] for name in needed}


def list_located():
    """Return the tasks that are looked for in genomes: none, which is said, without minimap2."""
    if not config["run"]["locate_tasks"] or not TASKS:
        return []
    environments = workflow.deployment_settings.deployment_method
    if DeploymentMethod.CONDA not in environments and not find_minimap2():
        logger.warning(f"Tasks are not looked for in the pretraining genomes: {MISSING}")
        return []
    return TASKS


def check_folders():
    """Stop before any job where weights of the run are at hand, but not in a form we read."""
    for model in NEEDED_MODELS:
        if "weights" in config["models"][model] and not weights.is_of_hub(config, model):
            found = weights.resolve_weights(config, model)
            weights.list_folder_files(found, get_place(found.folder))
    for model in EMBEDDERS:
        of_folder = weights.is_of_transformers(config, model)
        if of_folder and not weights.is_of_hub(config, model):
            found = weights.resolve_weights(config, model)
            weights.list_embedder_files(found, get_place(found.folder))


def list_fetched():
    """Return {address: its sums} of what was fetched of hubs so far, as `DOWNLOADS` has them."""
    fetched = {}
    for model in HUB_MODELS:
        sums = weights.resolve_weights(config, model).sha256
        for address in listings.list_fetched(get_place(f"<results>/hub/models/{model}.json")):
            sha256 = sums.get(address.rpartition("/")[2])
            fetched[address] = {"urls": [], "sha256": sha256, "md5": None}
    for task in HUB_TASKS:
        for address in listings.list_fetched(get_place(f"<results>/hub/tasks/{task}.json")):
            fetched[address] = {"urls": [], "sha256": None, "md5": None}
    return {address: sums for address, sums in fetched.items() if address not in DOWNLOADS}


MODELS = config["run"]["models"]
PRETRAINED = [
    model
    for model in [*MODELS, *config["run"]["pretrain_only"]]
    if "corpus" in config["models"][model]
]
FOREIGN = [model for model in MODELS if weights.is_foreign(config, model)]
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
# What is made where it is asked for: a prediction, or scores of variants, may be of a model or task
# that the run, and so its report, does not have.
SCORED_ENTRIES = [*VARIANTS.values(), *prioritisation.select_references(config, VARIANTS)]
SCORING = [
    model.removesuffix(resolve.UNTRAINED)
    for entry in [*SCORED_ENTRIES, *ANNOTATIONS.values()]
    for model in entry["models"]
]
EMBEDDERS = [
    model
    for model in dict.fromkeys([*FOREIGN, *SCORING])
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
# What is fetched of hubs, whose files are known when they have been listed.
HUB_MODELS = [m for m in dict.fromkeys([*NEEDED_MODELS, *EMBEDDERS]) if weights.is_of_hub(config, m)]
HUB_TASKS = [task for task in NEEDED_TASKS if resolve.is_of_hub(config, task)]
LISTINGS = [f"<results>/hub/models/{model}.json" for model in HUB_MODELS]
LISTINGS += [f"<results>/hub/tasks/{task}.json" for task in HUB_TASKS]
SUMMARIES = {
    group: source
    for group, source in config["species"]["summaries"].items()
    if config["species"]["counts"][group]
}
try:
    check_folders()
    CORPORA, GENOMES = collect_genomes(PRETRAINED, TASKS, [])
    NEEDED_CORPORA, NEEDED_GENOMES = collect_genomes(
        NEEDED_MODELS,
        NEEDED_TASKS,
        [
            entry["genome"]
            for entry in [*PREDICTIONS.values(), *SCORED_ENTRIES, *ANNOTATIONS.values()]
            if "genome" in entry
        ],
    )
    PANELS = panels.select_panels(config, CORPORA)
    DOWNLOADS = resolve.merge_downloads(
        resolve.list_downloads(config, NEEDED_GENOMES, NEEDED_TASKS)
        + panels.list_panel_downloads(config, panels.select_panels(config, NEEDED_CORPORA))
    )
    FETCHED = list_fetched()
    # Kept apart: the target `downloads` has no use for what only draw_species reads.
    SUMMARY_DOWNLOADS = resolve.merge_downloads(
        {"urls": [source], "sha256": None, "md5": None}
        for source in SUMMARIES.values()
        if "://" in source
    )
    resolve.merge_downloads([*DOWNLOADS.values(), *SUMMARY_DOWNLOADS.values()])
except InputError as error:
    raise WorkflowError(str(error)) from None
# Files of hubs are fetched with their lists.
NOT_OF_HUBS = rf"(?!(?:{'|'.join(map(re.escape, FETCHED))})$).+" if FETCHED else ".+"
BENCHMARKED = dict.fromkeys(
    config["models"][model]["corpus"] for model in MODELS if model in PRETRAINED
)
LOCATED = list_located()
# Each genome once, however many corpora hold it.
SEARCHED = list(dict.fromkeys(name for corpus in BENCHMARKED for name in CORPORA[corpus]))


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
