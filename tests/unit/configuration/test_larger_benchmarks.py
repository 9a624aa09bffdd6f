"""The blocks of `docs/how-to/larger-benchmarks.md` pass the check; others have sentences."""

import copy
import csv
import re
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.cross_validation import resolve_cross_validation

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/how-to/larger-benchmarks.md"
BLOCKS = {
    next(iter(block["tasks"])): block
    for block in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S))
}
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))


def configure(task, changes=None):
    block = copy.deepcopy(BLOCKS[task])
    config = resolve.merge(SHIPPED, block)
    config["tasks"] = {task: {**block["tasks"][task], **(changes or {})}}
    return config


def sentences(task, changes=None):
    config = configure(task, changes)
    return [
        *schema.find_schema_errors(config, SCHEMA),
        *references.find_reference_errors(config, PUBLISHED),
    ]


@pytest.mark.parametrize("task", BLOCKS)
def test_every_block_of_the_page_passes_the_check(task):
    assert len(BLOCKS) == 4
    assert sentences(task) == []


def test_given_validation_files_and_labels_are_sources_of_deepstarr():
    config = configure("deepstarr.activity")
    task = resolve.resolve_task(config, "deepstarr.activity")
    assert resolve.list_label_files(task, "deepstarr.activity", "validation") == [
        "Sequences_activity_Val.txt"
    ]
    assert resolve_cross_validation(config, "deepstarr.activity")["scheme"] == "given"
    assert "labels_file" not in resolve.describe_rows(config, "deepstarr.activity")


def test_addresses_of_labels_are_downloads_with_their_sums():
    files = {role: f"https://x.org/{role}" for role in ("train", "test")}
    task = {
        "kind": "regression",
        "classes": 2,
        "label_column": ["a", "b"],
        "url": {role: f"{url}.fa" for role, url in files.items()},
        "labels_file": {role: f"{url}.tsv" for role, url in files.items()},
        "sha256": {"test_labels": "a" * 64},
    }
    config = configure("deepstarr.activity")
    config["tasks"] = {"mine.x": task}
    downloads = resolve.list_downloads(config, {}, ["mine.x"])
    sums = {download["urls"][0]: download["sha256"] for download in downloads}
    assert sums == {
        "https://x.org/train.fa": None,
        "https://x.org/test.fa": None,
        "https://x.org/train.tsv": None,
        "https://x.org/test.tsv": "a" * 64,
    }


@pytest.mark.parametrize(
    ("task", "changes", "expected"),
    [
        (
            "deepstarr.activity",
            {"labels_file": {"train": ["a.txt", "b.txt"], "validation": "c.txt", "test": "d.txt"}},
            "labels_file: there are 2 files of labels for 1 of train sequences",
        ),
        (
            "deepstarr.activity",
            {"labels_file": {"train": "a.txt", "test": "d.txt"}},
            "labels_file: there are 0 files of labels for 1 of validation sequences",
        ),
        ("deepsea.chromatin", {"kind": "regression"}, "several labels; write multilabel"),
        ("deepsea.chromatin", {"label_column": "x"}, "label_column: it is not read with format"),
        ("splice.canonical", {"kind": "binary", "classes": 2}, "labels bases; write per_base"),
    ],
)
def test_what_does_not_fit_has_a_sentence(task, changes, expected):
    assert any(expected in sentence for sentence in sentences(task, changes))


def test_weights_of_flags_and_bins_are_refused_for_other_kinds():
    config = configure("deepsea.chromatin")
    config["finetune"]["methods"]["ia3_weighted"]["head"] = "bins"
    found = list(references.find_reference_errors(config, PUBLISHED))
    assert any(
        "head: bins is for regressions, but the task 'deepsea.chromatin'" in s for s in found
    )
    config = configure("deepstarr.activity")
    config["finetune"]["methods"]["ia3_bins"]["class_weights"] = 8
    found = list(references.find_reference_errors(config, PUBLISHED))
    assert any("class_weights: a number is what a label's 1 counts" in s for s in found)


def test_keys_of_drawn_windows_are_refused_for_a_recipe_of_bases():
    build = {**BLOCKS["splice.canonical"]["tasks"]["splice.canonical"]["build"], "gaps": "keep"}
    found = sentences("splice.canonical", {"build": build})
    assert any("build.gaps: the recipe splice_table draws no windows" in s for s in found)


def test_an_annotation_names_no_paralogs_and_a_table_no_transcripts():
    for task, key, value in (
        ("splice.zebrafish", "test_paralogs", "drop"),
        ("splice.canonical", "canonical", "tag"),
    ):
        build = {**BLOCKS[task]["tasks"][task]["build"], key: value}
        (sentence,) = sentences(task, {"build": build})
        assert f"build.{key}: the recipe {build['recipe']} does not read it; remove it." in sentence
