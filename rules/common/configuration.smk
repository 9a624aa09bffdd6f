"""The configuration, merged and checked before any job, and what all other rules files import."""

import csv
import os
import re
import sys
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))
from dnalm import methods
from dnalm.configuration import kinds, panels, references, resolve, schema, task_sheet, weights
from dnalm.errors import InputError
from dnalm.download.addresses import address_of
from dnalm.genome.species.sheet import NAME, read_sheet
from dnalm.corpus.splits import assign_splits

# The trainer is started as `python`: it has to be the one that runs this, activated or not.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]))


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


def check_configuration():
    """Stop before any job starts, with every error of the configuration in one list."""
    with open(workflow.source_path("../../resources/schemas/config.schema.yaml")) as file:
        errors = schema.find_schema_errors(config, schema.read_schema(file))
    with open(workflow.source_path("../../resources/published_scores.tsv"), newline="") as file:
        published = csv.DictReader(file, delimiter="\t")
        errors = errors or references.find_reference_errors(config, published)
    if errors:
        raise WorkflowError("The configuration is wrong:\n" + "\n".join(errors))


replace_labels()
add_tasks()
resolve.drop_removed(config)
check_configuration()
