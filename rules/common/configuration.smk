"""The configuration, merged and checked before any job, and where the workflow's own files lie.

The workflow may be a module of another one. Then the outer workflow gives its configuration, its
folders (`pathvars`) and a prefix, and this file may come from a repository, one file at a time.
"""

import csv
import gc
import os
import re
import sys
from copy import deepcopy
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.settings.types import DeploymentMethod, ExecMode
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config


def find_scripts():
    """Return the folder of our scripts, with the library in it.

    In a checkout it is beside `rules`. From a repository Snakemake fetches each file into its cache
    when it is named, so all that a script imports is named here, once per tag or commit.
    """
    folder = str(workflow.current_basedir)
    if os.path.isdir(folder):
        return Path(folder).parents[1] / "scripts"
    with open(workflow.source_path("../../scripts/library.txt")) as file:
        names = file.read().split()
    paths = [Path(workflow.source_path(f"../../scripts/{name}")) for name in names]
    return paths[0].parent


SCRIPTS = find_scripts()
SEARCHED_BY_JOBS = sys.path[0 if sys.flags.safe_path else 1 :]  # but for the folder of this program
sys.path.insert(0, str(SCRIPTS))
from dnalm import methods
from dnalm.benchmark.audit.minimap2 import explain_missing, find_minimap2
from dnalm.configuration import finetuning, kinds, panels
from dnalm.configuration import prioritisation, references
from dnalm.configuration.interpretation import amounts, annotations, likelihoods
from dnalm.configuration import repeated_keys, resolve, schema, task_sheet, weights, workload
from dnalm.download import listings
from dnalm.download.addresses import address_of
from dnalm.corpus.splits import assign_splits
from dnalm.errors import InputError
from dnalm.genome.species.sheet import NAME, read_sheet
from dnalm.suggestions import Needed
from dnalm.jobs import surroundings

# What is imported lives as long as the process: no collection looks at it, which is a fifth of the
# time of a small plan.
gc.freeze()

# The trainer is started as `python`: it has to be the one that runs this, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]))
# What jobs are not to inherit: with the first the trainer would not find the library beside it, with
# the second altair not its own docstrings.
for name in ("PYTHONSAFEPATH", "PYTHONOPTIMIZE"):
    os.environ.pop(name, None)


def complete_configuration():
    """Return the configuration, with our defaults under what an outer workflow gives.

    Snakemake reads no `configfile:` of a module that is given a configuration.
    """
    if workflow.modifier.is_main_snakefile():
        return config
    merged = load_configfile(workflow.source_path("../../config.yaml"))
    update_config(merged, deepcopy(dict(config)))
    resolve.replace_labels(merged, config)
    return merged


def replace_labels():
    """Give labels as the last file says that has them: Snakemake merges mappings key by key."""
    for file in workflow.overwrite_configfiles:
        resolve.replace_labels(config, load_configfile(file))


def add_tasks():
    """Put the tasks of the sheets, ours and the user's, below those of `tasks:`."""
    sheets = [workflow.source_path("../../resources/tasks.tsv"), *task_sheet.list_sheets(config)]
    try:
        task_sheet.add_sheets(config, sheets)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def list_targets():
    """Return the targets on the command line, by name; none where they cannot be known.

    Snakemake knows them only after this file. A process that runs one job of a workflow has no
    target: the process that started it has checked all.
    """
    if not workflow.modifier.is_main_snakefile():
        return []
    if workflow.exec_mode != ExecMode.DEFAULT:
        return list(references.WITHOUT_BENCHMARK)
    return [word for word in sys.argv[1:] if word in references.TARGETS]


def check_configuration():
    """Stop before any job starts, with every error of the configuration in one list."""
    files = workflow.overwrite_configfiles
    repeated = [one for file in files for one in repeated_keys.find_repeated_keys(file)]
    with open(workflow.source_path("../../resources/schemas/config.schema.yaml")) as file:
        errors = repeated + schema.find_schema_errors(config, schema.read_schema(file))
    with open(workflow.source_path("../../resources/published_scores.tsv"), newline="") as file:
        published = csv.DictReader(file, delimiter="\t")
        errors = errors or references.find_reference_errors(
            config, published, targets=list_targets()
        )
    if errors:
        raise WorkflowError("The configuration is wrong:\n" + "\n".join(errors))


def check_surroundings():
    """Stop where jobs would run other code than this, or Snakemake misread where it lies."""
    if workflow.exec_mode != ExecMode.DEFAULT:
        return
    errors = surroundings.find_errors(SCRIPTS, SEARCHED_BY_JOBS)
    if errors:
        raise WorkflowError("\n".join(errors))


check_surroundings()
config = complete_configuration()
replace_labels()
add_tasks()
resolve.drop_removed(config)
check_configuration()


# Weaker than what any configuration says, ours of a module too.
pathvars:
    **config["pathvars"],


# As they are while this file is read: when the functions below are called, those of an outer
# workflow are in force.
PATHVARS, PREFIXES = workflow.pathvars, workflow.modifier.path_modifier


def get_place(path):
    """Return where a path of our scheme lies, as Snakemake makes it of the paths of a rule."""
    return PATHVARS.apply(PREFIXES.replace_prefix(path))


def find_resource(name):
    """Return a file of `resources` as rules have it among their inputs.

    Relative to the working directory where it lies below it. Snakemake compares paths: by an
    absolute one all that was made of it would be made again in a project that was moved.
    """
    here = os.path.relpath(SCRIPTS.parent / "resources" / name)
    if os.path.exists(here) and not here.startswith(os.pardir) and not PREFIXES.prefix:
        return here
    return workflow.source_path(f"../../resources/{name}")
