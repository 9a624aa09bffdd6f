"""What the models and tasks of a run need: corpora, genomes, panels, and files of the network."""


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
    return Needed("corpora", corpora), Needed("genomes", {name: rows[name] for name in needed})


def list_located():
    """Return the tasks that are looked for in genomes: none, which is said, without minimap2."""
    if not config["run"]["locate_tasks"] or not TASKS:
        return []
    environments = workflow.deployment_settings.deployment_method
    if DeploymentMethod.CONDA not in environments and not find_minimap2():
        logger.warning(f"Tasks are not looked for in the pretraining genomes: {explain_missing()}")
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


# What is fetched of hubs, whose files are known when they have been listed.
HUB_MODELS = [
    model
    for model in dict.fromkeys([*NEEDED_MODELS, *EMBEDDERS])
    if weights.is_of_hub(config, model)
]
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
            for entry in [*PREDICTIONS.values(), *SCORED_ENTRIES, *ANNOTATIONS.values(), *MASKED]
            if "genome" in entry
        ]
        + [config["panels"][entry["panel"]]["genome"] for entry in SNPS.values()],
    )
    PANELS = panels.select_panels(config, CORPORA)
    NEEDED_PANELS = dict.fromkeys(
        [
            *panels.select_panels(config, NEEDED_CORPORA),
            *(entry["panel"] for entry in SNPS.values()),
        ]
    )
    DOWNLOADS = resolve.merge_downloads(
        resolve.list_downloads(config, NEEDED_GENOMES, NEEDED_TASKS)
        + panels.list_panel_downloads(config, NEEDED_PANELS)
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
