"""Entries that masked tokens are predicted for: defaults filled in, and wrong ones named."""

import copy
import csv
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.interpretation.likelihoods import (
    find_training_panel,
    resolve_assay,
    select_entries,
)

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
FOREIGN = {"embedder": {"call": "mine:open", "options": {}}, "licence": "mit"}
BACKWARDS = {"contig": "chr1", "start": 20, "end": 10, "strand": "-"}
PANEL = {"genome": "grch38", "path": "x.bcf", "contigs": ["chr1"]}
ENTRIES = {
    "snps": {"panel": "1000g", "models": ["500m-1000g"]},
    "assays": {"table": "exon.tsv", "genome": "grch38", "models": ["500m-1000g"]},
    "tracks": {"genome": "grch38", "models": ["500m-1000g"]},
}


def configure(section, change, **others):
    entries = {
        section: {"mine": {**ENTRIES[section], **change}},
        "models": {"theirs": FOREIGN},
        "panels": {"small": PANEL},
    }
    return resolve.merge(copy.deepcopy(SHIPPED), {"run": {"tasks": []}, **entries, **others})


def find_errors(config):
    errors = schema.find_schema_errors(config, SCHEMA)
    return errors or references.find_reference_errors(config, PUBLISHED, targets=["interpretation"])


def test_a_right_entry_has_no_error_and_its_defaults():
    config = configure("snps", {"by": "population"})
    assert find_errors(config) == []
    assert select_entries(config, "snps")["mine"]["frequencies"] == [0.01, 0.05, 0.1, 0.5]


@pytest.mark.parametrize("section", ["snps", "assays", "tracks"])
def test_an_embedder_predicts_snps_and_tracks_and_is_held_against_assays(section):
    assert find_errors(configure(section, {"models": ["theirs"]})) == []


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("snps", {"panel": "1000h"}, "snps.mine.panel: '1000h' is unknown"),
        ("snps", {"contigs": ["chrY"]}, "'chrY' is not among the `contigs` of panel '1000g'"),
        ("snps", {"models": ["500m"]}, "snps.mine.models: '500m' is unknown"),
        (
            "snps",
            {"models": ["theirs.untrained"]},
            "the untrained twin of a model that an embedder",
        ),
        ("snps", {"bases": 6000}, "reads 5,994 bases at most, not 6,000"),
        ("snps", {"panel": "small", "by": "population"}, "names no table of `populations`"),
        ("snps", {"frequencies": [1.5]}, "snps.mine.frequencies"),
        ("assays", {"genome": "grch39"}, "assays.mine.genome: 'grch39' is unknown"),
        ("assays", {"window": 12000}, "assays.mine.window: '500m-1000g' reads 5,994 bases at most"),
        ("assays", {"interval": BACKWARDS}, "assays.mine.interval: its end, 10, lies before"),
        ("tracks", {"frames": [0, 6]}, "6 is no place in a 6-mer of '500m-1000g'"),
        ("tracks", {"bases": 6000}, "tracks.mine.bases: '500m-1000g' reads 5,994"),
        ("tracks", {"models": ["theirs.untrained"]}, "the untrained twin of a model that an"),
    ],
)
def test_a_wrong_entry_is_one_sentence(section, change, said):
    (error,) = find_errors(configure(section, change))
    assert said in error


def test_an_assay_has_the_settings_of_variants_and_its_own_columns():
    change = {"columns": {"effect": "dPSI"}, "frames": "all", "bootstrap": {"draws": 50}}
    settings = resolve_assay(configure("assays", change), "mine")
    assert settings["columns"]["effect"] == "dPSI"
    assert settings["columns"]["position"] == "position"
    assert (settings["frames"], settings["window"]) == ("all", "auto")
    assert settings["bootstrap"]["level"] == 0.95
    assert find_errors(configure("assays", change)) == []


def test_a_name_that_no_entry_has_is_named():
    (error,) = find_errors(configure("snps", {}, run={"tasks": [], "snps": ["yours"]}))
    assert "run.snps" in error


def test_who_a_model_was_trained_on_follows_from_its_corpus():
    config = configure("snps", {})
    assert find_training_panel(config, "500m-1000g") == (True, "1000g")
    assert find_training_panel(config, "500m-1000g.untrained") == (True, None)
    assert find_training_panel(config, "500m-human-ref") == (True, None)
    config["models"]["loaded"] = {"preset": "500m", "weights": {"path": "x"}}
    assert find_training_panel(config, "loaded") == (False, None)
