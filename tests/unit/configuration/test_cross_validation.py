"""Splits of tasks in the configuration: what they resolve to, and sentences for what cannot be."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import resolve, schema
from dnalm.configuration.cross_validation import (
    find_cross_validation_errors,
    resolve_cross_validation,
)

ROOT = Path(__file__).parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
FILES = {"path": {"train": "a.csv", "test": "b.csv"}}
VALIDATED = {"path": {"train": "a.csv", "validation": "v.csv", "test": "b.csv"}}
BUILT = {"build": {"genome": "g", "recipe": "regions", "intervals": "x.bed"}}


def configure(task, cross_validation=None, **section):
    own = {} if cross_validation is None else {"cross_validation": cross_validation}
    return resolve.merge(
        copy.deepcopy(SHIPPED), {"tasks": {"mine.x": {**task, **own}}, "cross_validation": section}
    )


def test_a_task_has_splits_of_its_own_and_the_section_fills_in_the_rest():
    config = configure(FILES, {"scheme": "grouped", "group": "family"}, splits=4)
    assert resolve_cross_validation(config, "mine.x") == {
        "scheme": "grouped",
        "splits": 4,
        "validation_share": 0.1,
        "group": "family",
        "seed": 42,
    }


def test_a_scheme_that_reads_no_groups_has_the_keys_it_always_had():
    # So that no table of an older results folder is made anew.
    config = configure(FILES)
    assert resolve_cross_validation(config, "mine.x").keys() == {
        *("scheme", "splits", "validation_share", "seed")
    }


def test_what_splits_a_task_is_no_setting_of_its_rows():
    own = {"scheme": "grouped", "group": "family"}
    rows = resolve.describe_rows(configure(FILES, own), "mine.x")
    assert rows == resolve.describe_rows(configure(FILES), "mine.x")


def test_validation_files_are_sources_and_downloads_as_others_are():
    task = {"url": {part: f"https://x.org/{part}.csv" for part in ("train", "validation", "test")}}
    config = configure(task, {"scheme": "given"})
    assert resolve.list_roles(config["tasks"]["mine.x"]) == ("train", "validation", "test")
    downloads = resolve.list_downloads(config, {}, ["mine.x"])
    assert [d["urls"][0] for d in downloads] == list(task["url"].values())


@pytest.mark.parametrize("task", [FILES, VALIDATED, BUILT])
def test_splits_that_fit_are_not_complained_of(task):
    fitting = {"scheme": "given"} if task is VALIDATED else {"scheme": "kfold"}
    assert not list(find_cross_validation_errors(configure(task, fitting)))
    if task is not VALIDATED:
        grouped = {"scheme": "leave_one_group_out", "group": "contig"}
        assert not list(find_cross_validation_errors(configure(task, grouped)))


@pytest.mark.parametrize(
    ("task", "own", "words"),
    [
        (FILES, {"group": "family"}, ["group: the scheme kfold reads no groups", "grouped"]),
        (FILES, {"scheme": "grouped"}, ["group: the scheme grouped needs the column", "contig"]),
        (FILES, {"scheme": "given"}, ["group: the scheme given", "validation files"]),
        (VALIDATED, {"scheme": "shuffle"}, ["scheme: the task has validation files", "given"]),
        (FILES, {"validation": ["dev"]}, ["validation: the scheme kfold does not read", "given"]),
        (VALIDATED, {"scheme": "given", "validation": ["b"]}, ["given names no `group`"]),
        (BUILT, {"scheme": "grouped", "group": "gene"}, ["no column 'gene'", "write contig"]),
    ],
)
def test_splits_that_do_not_fit_are_one_sentence(task, own, words):
    (sentence,) = find_cross_validation_errors(configure(task, own))
    assert sentence.startswith("tasks.mine.x.cross_validation")
    assert all(word in sentence for word in words)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"scheme": "leave_one_out"}, ["leave_one_group_out"]),
        ({"splits": 1}, ["at least 2"]),
        ({"validation": []}, ["validation"]),
    ],
)
def test_wrong_values_are_found_by_the_schema(own, words):
    with open(ROOT / "resources/schemas/config.schema.yaml") as file:
        sentences = schema.find_schema_errors(configure(FILES, own), schema.read_schema(file))
    (sentence,) = sentences
    assert all(word in sentence for word in ["tasks.mine.x.cross_validation", *words])


def test_the_splits_that_the_page_on_fine_tuning_shows_are_valid():
    page = (ROOT / "docs/how-to/finetune.md").read_text()
    (block,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.S) if "tasks:" in text)
    config = resolve.merge(copy.deepcopy(SHIPPED), yaml.safe_load(block))
    with open(ROOT / "resources/schemas/config.schema.yaml") as file:
        assert schema.find_schema_errors(config, schema.read_schema(file)) == []
    assert not list(find_cross_validation_errors(config))
    named = {name: resolve_cross_validation(config, name)["scheme"] for name in config["tasks"]}
    own = [named[f"mine.{name}"] for name in ("peaks", "families", "promoters")]
    assert own == ["leave_one_group_out", "grouped", "given"]
