"""Annotations of the configuration: defaults filled in, and wrong entries named."""

import copy
import csv
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.interpretation.annotations import select_annotations

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
ENTRY = {"genome": "grch38", "transcripts": "genes.gtf", "models": ["500m-human-ref"]}
FOREIGN = {"embedder": {"call": "mine:open", "options": {}}, "licence": "mit"}


def configure(change, **others):
    entries = {"annotations": {"mine": {**ENTRY, **change}}, "models": {"theirs": FOREIGN}}
    return resolve.merge(copy.deepcopy(SHIPPED), {"run": {"tasks": []}, **entries, **others})


def find_errors(config):
    errors = schema.find_schema_errors(config, SCHEMA)
    return errors or references.find_reference_errors(config, PUBLISHED, targets=["interpretation"])


def test_a_right_entry_has_no_error_and_its_defaults():
    config = configure({})
    assert find_errors(config) == []
    assert select_annotations(config)["mine"]["bases"] == 5994


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"genome": "grch39"}, "annotations.mine.genome"),
        ({"transcripts": None}, "names no elements"),
        ({"windows": "tile"}, "a map is of windows around elements"),
        ({"models": ["500m-human-rev"]}, "annotations.mine.models"),
        (
            {"models": ["theirs"], "analyses": ["attention"]},
            "reconstruction and maps alone; add one",
        ),
        ({"models": ["theirs.untrained"]}, "the untrained twin of a model that an embedder"),
        ({"bases": 6000}, "reads 5,994 bases at most, not 6,000"),
        ({"windows": "rows"}, "annotations.mine.windows"),
    ],
)
def test_a_wrong_entry_is_one_sentence(change, said):
    (error,) = find_errors(configure(change))
    assert said in error


def test_a_name_that_no_annotation_has_is_named():
    (error,) = find_errors(configure({}, run={"tasks": [], "annotations": ["yours"]}))
    assert "run.annotations" in error
