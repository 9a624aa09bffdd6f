"""Variants of the configuration: defaults filled in, and wrong entries named."""

import copy
import csv
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.variants import resolve_variants
from dnalm.variants.score_table import BY_NAME, REASONS, SCORE_NAMES

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL = "500m-human-ref"
ENTRY = {"vcf": "x.vcf.gz", "genome": "grch38", "models": [MODEL]}


def find_errors(change):
    config = resolve.merge(copy.deepcopy(SHIPPED), {"run": {"tasks": []}, **change})
    errors = schema.find_schema_errors(config, SCHEMA)
    return errors or references.find_reference_errors(config, PUBLISHED, targets=["variants"])


@pytest.mark.parametrize("models", [[MODEL], [f"{MODEL}.untrained", MODEL]])
def test_an_entry_needs_a_file_a_genome_and_models(models):
    entry = ENTRY | {"models": models}
    assert find_errors({"variants": {"v": entry}}) == []
    for key in ENTRY:
        (error,) = find_errors({"variants": {"v": {k: v for k, v in entry.items() if k != key}}})
        # Without a file, files of labels may say what is scored.
        said = "add 'vcf', or 'label'" if key == "vcf" else f"the key '{key}' is missing"
        assert error.startswith("variants.v: ")
        assert said in error


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"genome": "grch39"}, ["variants.v.genome: 'grch39'", "did you mean 'grch38'"]),
        ({"models": ["500m-human"]}, ["variants.v.models: '500m-human'", f"'{MODEL}'"]),
        ({"scores": ["cosin"]}, ["variants.v.scores", "'cosin'", "cosine"]),
        ({"scores": []}, ["variants.v.scores"]),
        ({"window": 6000}, ["variants.v.window: '500m-human-ref' reads 5,994 bases", "6,000"]),
        ({"window": 6}, ["variants.v.window: 6 bases hold no two 6-mers"]),
        ({"layer": 25}, ["variants.v.layer", "the layers 1 to 24, not 25"]),
        ({"layer": "first"}, ["variants.v.layer", "last, or the number of a layer"]),
        ({"frames": 6}, ["variants.v.frames", "1, all"]),
        ({"strands": "back"}, ["variants.v.strands", "reverse"]),
        ({"contig_names": "chr"}, ["variants.v.contig_names", "exact, prefix"]),
        ({"index": "bai"}, ["variants.v.index", "tbi"]),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_allowed(change, parts):
    (error,) = find_errors({"variants": {"v": ENTRY | change}})
    for part in parts:
        assert part in error


def test_a_name_that_no_set_of_variants_has_is_named():
    change = {"variants": {"mine": ENTRY}, "run": {"tasks": [], "variants": ["min"]}}
    assert find_errors(change) == ["run.variants: 'min' is unknown; did you mean 'mine'?"]


def test_defaults_are_filled_in_and_files_left_out():
    config = resolve.merge(SHIPPED, {"variants": {"v": ENTRY | {"frames": "all"}}})
    settings = resolve_variants(config, "v")
    expected = config["variant"] | {"set": "v", "genome": "grch38", "frames": "all"}
    assert settings == {key: expected[key] for key in settings}
    assert "models" not in settings


def test_the_page_names_every_score_and_reason():
    page = (ROOT / "docs/how-to/variants.md").read_text()
    named = [*REASONS, *(name for name in SCORE_NAMES if BY_NAME[name].place is None)]
    named += ["cosine_token", "cosine_flat"]
    assert [name for name in named if f"`{name}`" not in page] == []


FOREIGN = {"embedder": {"call": "mine:open", "options": {}}, "licence": "mit"}


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"layer": 0}, "variants.mine.layer: 0 is the token table, which 'theirs' does not give"),
        ({"frames": "all"}, "variants.mine.frames: the places of a base in a token of 'theirs'"),
        ({"models": ["theirs.untrained"]}, "variants.mine.models: 'theirs.untrained' would be"),
    ],
)
def test_what_a_model_of_an_embedder_cannot_give_is_told(change, start):
    entry = {**ENTRY, "models": ["theirs"]}
    models = {"models": {"theirs": FOREIGN}}
    assert find_errors(models | {"variants": {"mine": entry}}) == []
    (error,) = find_errors(models | {"variants": {"mine": entry | change}})
    assert error.startswith(start)
