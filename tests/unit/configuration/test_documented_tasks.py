"""The blocks of `docs/how-to/own-task.md`: each passes the check, and its files are read so."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dnalm.benchmark.tasks.table import make_task
from dnalm.configuration import references, resolve, schema
from dnalm.configuration.resolve import list_file_labels, list_sources, resolve_task

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/how-to/own-task.md"
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
FOLDS = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 1}
# The label of a row by its number, of tasks that the page does not give 0 and 1.
LABELS = {
    "mine.promoters": lambda row: ["background", "promoter"][row % 2],
    "mine.marked": lambda row: ["no", "yes"][row % 2],
    "mine.expression": lambda row: f"{row / 3:.2f}",
    "mine.bases": lambda row: "0" * row + "1" + "2" * (23 - row),
    "mine.raw": lambda row: ["0", "1", "NA"][row % 3],
}


def overlay(block):
    config = resolve.merge(SHIPPED, block)
    resolve.drop_removed(config)
    return config


def test_the_page_has_a_block_for_each_kind_of_source():
    tasks = [task for block in BLOCKS for task in block["tasks"].values()]
    assert len(BLOCKS) >= 6
    assert {"path", "url", "hub", "build"} == {key for task in tasks for key in task} & {
        "path",
        "url",
        "hub",
        "build",
    }


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: next(iter(block["tasks"])))
def test_every_block_is_a_valid_configuration_on_top_of_the_shipped_one(block):
    config = overlay(block)
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert references.find_reference_errors(config, PUBLISHED) == []


def write_rows(path: Path, task: Mapping, name: str, labelled: bool) -> None:
    """Write 24 rows as the page says that they are."""
    draw = np.random.default_rng(sum(path.name.encode()))
    label = LABELS.get(name, lambda row: str(row % 2))
    columns = task["label_column"]
    columns = [columns] if isinstance(columns, str) else columns
    rows = [["".join(draw.choice(list("ACGT"), 24)), *[label(i)] * len(columns)] for i in range(24)]
    path.parent.mkdir(exist_ok=True)
    if ".fa" in path.suffixes:
        header = {"mine.marked": ">s{} class={} of two\n{}\n"}.get(name, ">s{}|{}\n{}\n")
        header = header if labelled else ">s{}\n{}\n"
        texts = [header.format(i, *[label(i)] * labelled, row[0]) for i, row in enumerate(rows)]
        path.write_text("".join(texts))
        return
    table = pd.DataFrame(rows, columns=[task["sequence_column"], *columns])
    table["other"] = "read by nobody"
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


TASKS = {name: block for block in BLOCKS for name, task in block["tasks"].items() if "path" in task}


@pytest.mark.parametrize("name", TASKS)
def test_rows_as_the_page_says_that_they_are_become_the_task(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    task = resolve_task(overlay(TASKS[name]), name)
    files, labels = {}, {}
    for split in ("train", "test"):
        files[split] = list_sources(task, name, split)
        labels[split] = list_file_labels(task, split)
        for source in files[split]:
            write_rows(Path(source), task, name, labels[split] is None)
    rows, summary = make_task(files, {**task, "file_labels": labels}, name, FOLDS)
    assert summary["kind"] == (task["kind"] or "binary")
    wanted = 24 * sum(map(len, files.values()))
    left_out = 8 if task["missing_labels"] == "drop" else 0
    assert len(rows) == wanted - left_out
    assert set(rows["split"]) == {"train", "test"}
