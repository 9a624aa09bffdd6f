"""The configuration: what is shipped is valid, and what is wrong is said in one sentence."""

import copy
import csv
from pathlib import Path

import pytest
import yaml

from configuration import references, resolve, schema

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "resources/schemas/config.schema.yaml").read_text())
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())

BUILT = {"kind": "binary", "classes": 2}
ENHANCERS = {
    "genome": "g",
    "recipe": "enhancers",
    "intervals": "x.bed",
    "labels_by_name": {".*": 1},
    "length": 10,
    "decoys": "genome",
    "test_contigs": ["c"],
    "maximum": {"train": None, "test": None},
    "seed": 1,
}
FULL = {k: v for k, v in SHIPPED["finetune"]["methods"]["ia3"].items() if k != "seed"}


def overlay(*changes: dict) -> dict:
    config = copy.deepcopy(SHIPPED)
    for change in changes:
        config = resolve.merge(config, change)
    return config


@pytest.mark.parametrize("name", ["config.yaml", "tiny.yaml", "real.yaml", "real_quick.yaml"])
def test_overlays_are_valid_on_top_of_the_shipped_configuration(name):
    below = {"real_quick.yaml": ["real.yaml"], "tiny.yaml": ["config.yaml"]}
    layers = [*below.get(name, []), name]
    config = overlay(*(yaml.safe_load((ROOT / "tests" / layer).read_text()) for layer in layers))
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert references.find_reference_errors(config, PUBLISHED) == []


def test_the_shipped_configuration_is_valid():
    assert schema.find_schema_errors(SHIPPED, SCHEMA) == []
    assert references.find_reference_errors(SHIPPED, PUBLISHED) == []


def test_every_schema_error_is_reported_not_only_the_first():
    config = overlay({"probe": {"penalties": ["a"]}, "embed": {"layers": "some"}, "repotr": {}})
    errors = schema.find_schema_errors(config, SCHEMA)
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"run": {"taks": []}}, ["run:", "'taks'", "did you mean 'tasks'"]),
        ({"probe": {"penalties": ["a"]}}, ["probe.penalties.0", "'a'", "number"]),
        ({"pretrain": {"tokens": "5e10"}}, ["pretrain.tokens", "'5e10'", "1.0e+4"]),
        ({"embed": {"layers": "some"}}, ["embed.layers", "'some'", "or all"]),
        ({"embed": {"layers": []}}, ["embed.layers", "[]", "a list of layers"]),
        ({"run": {"models": ["a", "a"]}}, ["run.models", "twice"]),
        ({"cross_validation": {"splits": 1}}, ["cross_validation.splits", "1", "at least 2"]),
        ({"tasks": {"mine.a b": BUILT | {"path": "x"}}}, ["tasks", "'mine.a b'"]),
        ({"genomes": {"x": {"species": "y"}}}, ["genomes.x", "url, path, simulate", "add"]),
        ({"finetune": {"methods": {"b": FULL}}}, ["finetune.methods.b", "'seed' is missing"]),
        ({"pretrain": {"precision": "fp8"}}, ["pretrain.precision", "'fp8'", "bf16"]),
        ({"pretrain": {"masking": {"selected": 1.5}}}, ["pretrain.masking.selected", "1.5"]),
        (
            {"genomes": {"x": {"path": "a", "url": "b"}}},
            ["genomes.x", "exactly one", "drop", "null"],
        ),
        ({"tasks": {"mine.x": {"path": "a", "kind": "binary"}}}, ["tasks.mine.x", "'classes'"]),
        (
            {"tasks": {"mine.x": BUILT | {"build": ENHANCERS | {"upstream": 1}}}},
            ["tasks.mine.x.build.upstream", "remove it"],
        ),
        ({"models": {"a/b": {"preset": "v2-50m", "corpus": "c"}}}, ["models", "a/b"]),
    ],
)
def test_a_schema_error_names_the_key_the_value_and_the_remedy(change, parts):
    (error,) = schema.find_schema_errors(overlay(change), SCHEMA)
    for part in parts:
        assert part in error


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"run": {"models": ["500m-human"]}}, ["run.models", "500m-human", "500m-human-ref"]),
        ({"run": {"tasks": ["revised.H3K4m3"]}}, ["run.tasks", "revised.H3K4me3"]),
        ({"run": {"methods": ["ia4"]}}, ["run.methods", "ia4", "ia3"]),
        ({"run": {"models": ["500m-1000g"]}}, ["500m-1000g", "haplotypes"]),
        (
            {"models": {"500m-human-ref": {"published_as": "NT-HumanRef-500"}}},
            ["models.500m-human-ref.published_as", "did you mean 'NT-HumanRef-500M'"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"path": "{split}.csv", "published_as": "originl.H3"}}},
            ["tasks.mine.x.published_as", "did you mean 'original.H3'"],
        ),
        ({"pathvars": {"result": "x"}}, ["pathvars", "'result'", "'results'"]),
        (
            {"tasks": {"mine.x": BUILT | {"path": "x.csv"}}},
            ["tasks.mine.x", "x.csv is both train and test"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"path": "{split}{foo}.csv"}}},
            ["tasks.mine.x", "{foo}"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"path": "{split}.csv", "label_pattern": "(["}}},
            ["tasks.mine.x.label_pattern", "no regular expression"],
        ),
        ({"embed": {"layers": [1, 99]}}, ["embed.layers", "99", "24 layers"]),
        (
            {"tasks": {"revised.promoter_all": {"length": 20000}}},
            ["tasks.revised.promoter_all", "20000 bases", "1000"],
        ),
        (
            {"pretrain": {"masking": {"masked": 0.9, "random": 0.5}}},
            ["masked 0.9", "random 0.5"],
        ),
        (
            {"windows": {"paper": {"start_max": 6099}}},
            ["corpora.human-reference.windows", "6-mer"],
        ),
        ({"model": {"presets": {"v2-50m": {"heads": 512}}}}, ["v2-50m", "1 wide", "even"]),
        ({"models": {"m": {"preset": "v2-51m", "corpus": "multispecies"}}}, ["models.m.preset"]),
        ({"models": {"m": {"preset": "v1-500m", "corpus": "nowhere"}}}, ["models.m.corpus"]),
        (
            {"models": {"m": {"preset": "v1-500m", "corpus": "multispecies-12kb"}}},
            ["models.m", "vocabulary v1", "v2"],
        ),
        (
            {"tasks": {"promoters": {"path": "x", "kind": "binary", "classes": 2}}},
            ["mine.promoters"],
        ),
        (
            {"tasks": {"mine.x": {"path": "{split}", "kind": "binary", "classes": 3}}},
            ["tasks.mine.x", "classes 3"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"build": ENHANCERS}}},
            ["tasks.mine.x.build.genome", "'g'", "grch38"],
        ),
        (
            {"corpora": {"human-reference": {"split": {"validation": 1}}}},
            ["corpora.human-reference.split.validation", "list the contigs"],
        ),
    ],
)
def test_a_name_that_points_at_nothing_is_named_with_the_nearest_known(change, parts):
    errors = references.find_reference_errors(overlay(change), PUBLISHED)
    assert errors
    for part in parts:
        assert part in errors[0]


def test_a_null_in_an_overlay_takes_an_inherited_source_away():
    config = overlay({"genomes": {"grch38": {"url": None, "path": "my.fa.gz"}}})
    resolve.drop_removed(config)
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert config["genomes"]["grch38"]["path"] == "my.fa.gz"


def test_a_model_overrides_single_keys_of_the_pretraining_section():
    run = resolve.resolve_run(
        overlay({"models": {"500m-human-ref": {"pretrain": {"masking": {"random": 0.0}}}}}),
        "500m-human-ref",
    )
    assert run["pretrain"]["masking"] == {"selected": 0.15, "masked": 0.8, "random": 0.0}
    assert run["encoder"]["vocabulary_size"] == 4105
    assert run["encoder"]["token_dropout"] == 0.12


def test_the_published_name_of_a_model_is_no_part_of_what_decides_its_weights():
    renamed = overlay({"models": {"500m-human-ref": {"published_as": "other"}}})
    for model in ("500m-human-ref", "500m-human-ref.untrained"):
        assert resolve.resolve_run(renamed, model) == resolve.resolve_run(SHIPPED, model)


def test_task_sources_fill_in_name_and_split():
    task = SHIPPED["tasks"]["revised.H3K4me3"]
    (url,) = resolve.list_sources(task, "revised.H3K4me3", "test")
    assert url.endswith("/H3K4me3/test.fna")
