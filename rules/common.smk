"""What several stages need: the checked configuration, the names in it, and where inputs come from."""

import csv
import os
import re
import sys
from pathlib import Path

import yaml
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))
from dnalm.configuration import panels, references, resolve, schema, task_sheet, weights
from dnalm.errors import InputError
from dnalm.genome.addresses import address_of
from dnalm.genome.sheet import NAME, read_sheet
from dnalm.genome.splits import assign_splits

# The trainer is started as `python`: it has to be the one that runs this, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]))


def replace_labels():
    """Give labels as the last file says that has them: Snakemake merges mappings key by key."""
    for file in workflow.overwrite_configfiles:
        resolve.replace_labels(config, load_configfile(file))


def add_tasks():
    """Put the tasks of the sheets, ours and the user's, below those of `tasks:`."""
    sheets = [workflow.source_path("../resources/tasks.tsv"), *task_sheet.list_sheets(config)]
    try:
        task_sheet.add_sheets(config, sheets)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def check_configuration():
    """Stop before any job starts, with every error of the configuration in one list."""
    with open(workflow.source_path("../resources/schemas/config.schema.yaml")) as file:
        errors = schema.find_schema_errors(config, yaml.safe_load(file))
    with open(workflow.source_path("../resources/published_scores.tsv"), newline="") as file:
        published = csv.DictReader(file, delimiter="\t")
        errors = errors or references.find_reference_errors(config, published)
    if errors:
        raise WorkflowError("The configuration is wrong:\n" + "\n".join(errors))


def collect_genomes():
    """Return {corpus: its genomes in order} and {genome: row} of what the run needs."""
    corpora, rows = {}, dict(config["genomes"])
    for corpus in sorted({config["models"][model]["corpus"] for model in PRETRAINED}):
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
    builds = [config["tasks"][task].get("build", {}).get("genome") for task in TASKS]
    needed = dict.fromkeys([*sum(corpora.values(), []), *filter(None, builds)])
    return corpora, {name: rows[name] for name in needed}


def check_folders():
    """Stop before any job where weights of the run are at hand, but not in a form we read."""
    for model in [*PRETRAINED, *IMPORTED]:
        if "weights" in config["models"][model]:
            found = weights.resolve_weights(config, model)
            weights.check_folder(found, workflow.pathvars.apply(found.folder))


replace_labels()
add_tasks()
resolve.drop_removed(config)
check_configuration()
MODELS = config["run"]["models"]
PRETRAINED = [
    model
    for model in [*MODELS, *config["run"]["pretrain_only"]]
    if "corpus" in config["models"][model]
]
IMPORTED = [model for model in MODELS if model not in PRETRAINED]
LOADED = weights.list_loaded(config)  # of all models, those that rule import_weights makes
TASKS = resolve.select_tasks(config)
# Probes and baselines see one vector for each sequence, so a task of bases is fine-tuned alone.
POOLED = [task for task in TASKS if config["tasks"][task].get("kind") != "per_base"]
FINETUNES = [method for method in config["run"]["methods"] if method not in ("probe", "mlp")]
BASELINES = [name for name in config["run"]["baselines"] if name != "untrained"]
UNTRAINED = [f"{model}.untrained" for model in MODELS if "untrained" in config["run"]["baselines"]]
PROBED = [*MODELS, *UNTRAINED] if "probe" in config["run"]["methods"] else []
MLP_PROBED = [*MODELS, *UNTRAINED] if "mlp" in config["run"]["methods"] else []
SUMMARIES = {
    group: source
    for group, source in config["species"]["summaries"].items()
    if config["species"]["counts"][group]
}
try:
    check_folders()
    CORPORA, GENOMES = collect_genomes()
    PANELS = panels.select_panels(config, CORPORA)
    DOWNLOADS = resolve.merge_downloads(
        resolve.list_downloads(config, GENOMES, TASKS)
        + panels.list_panel_downloads(config, PANELS)
        + weights.list_weight_downloads(config, [*PRETRAINED, *IMPORTED])
    )
    # Kept apart: the target `downloads` has no use for what only draw_species reads.
    SUMMARY_DOWNLOADS = resolve.merge_downloads(
        {"urls": [source], "sha256": None, "md5": None}
        for source in SUMMARIES.values()
        if "://" in source
    )
except InputError as error:
    raise WorkflowError(str(error)) from None
BENCHMARKED = dict.fromkeys(
    config["models"][model]["corpus"] for model in MODELS if model in PRETRAINED
)
LOCATED = [
    (corpus, task) for corpus in BENCHMARKED for task in TASKS if config["run"]["locate_tasks"]
]
FINETUNE_PARTS = range(
    min(config["finetune"]["jobs_per_task"], config["cross_validation"]["splits"])
)


wildcard_constraints:
    genome=NAME,
    corpus=NAME,
    model=NAME,
    task=NAME,
    panel=NAME,
    contig=r"[^/]+",
    method="|".join(map(re.escape, config["finetune"]["methods"])),
    baseline="|".join(map(re.escape, config["baselines"])),
    part=r"\d+",
