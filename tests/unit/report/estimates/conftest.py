"""Workloads of the paper's configuration, and of one model and task of chosen sizes."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from dnalm.configuration.resolve import merge
from dnalm.configuration.task_sheet import add_sheets
from dnalm.configuration.workload import resolve_workload

ROOT = Path(__file__).parents[4]
NOTHING = {
    "pretrained": [], "probed": [], "tuned": [], "tasks": [], "pooled": [], "probes": [],
    "finetunes": [], "baselines": [], "predictions": [], "located": [], "searched": {},
    "panels": [], "variants": [], "annotations": [], "snps": [], "assays": [], "tracks": [],
}  # fmt: skip
NOTHING_KNOWN = {"tasks": {}, "genomes": {}, "contigs": {}, "predictions": {}, "assays": {}}


@pytest.fixture
def configuration():
    """Return config.yaml with the paper's tasks, a copy of one's own."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    add_sheets(config, [ROOT / "resources/tasks.tsv"])
    return deepcopy(config)


@pytest.fixture
def resolve(configuration):
    """Return a function that resolves a workload: what is selected, over settings that differ."""

    def make(selected, known=NOTHING_KNOWN, **overlay):
        config = merge(configuration, overlay)
        return resolve_workload(config, NOTHING | selected, NOTHING_KNOWN | known)

    return make
