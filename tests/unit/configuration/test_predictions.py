"""Predictions of the configuration: defaults filled in, and wrong entries named."""

import copy
import csv
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.predictions import resolve_asked, resolve_prediction

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL = "500m-human-ref"
ENTRY = {"model": MODEL, "method": "ia3", "task": "mine.x"}
FASTA, BED = {"path": "x.fa"}, {"bed": "x.bed", "genome": "grch38"}


def merged(*changes):
    config = copy.deepcopy(SHIPPED)
    config["tasks"] = {
        "mine.x": {"path": "{split}.csv", "kind": "binary", "classes": 2},
        "mine.bases": {"path": "{split}.csv", "kind": "per_base", "classes": 2},
    }
    config["run"] |= {"tasks": ["mine.x"]}
    for change in changes:
        config = resolve.merge(config, change)
    return config


def find_errors(config):
    errors = schema.find_schema_errors(config, SCHEMA)
    return errors or references.find_reference_errors(config, PUBLISHED)


@pytest.mark.parametrize("network", ["bpnet", "cnn"])
def test_a_network_is_on_top_of_no_model(network):
    entry = {"method": network, "task": "mine.x"} | FASTA
    assert find_errors(merged({"predictions": {"p": entry}})) == []


@pytest.mark.parametrize("source", [FASTA, BED])
def test_an_entry_needs_model_method_task_and_a_source(source):
    assert find_errors(merged({"predictions": {"p": ENTRY | source}})) == []
    for key in ENTRY:
        entry = {k: v for k, v in (ENTRY | source).items() if k != key}
        (error,) = find_errors(merged({"predictions": {"p": entry}}))
        assert f"predictions.p: the key '{key}' is missing" in error


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        (ENTRY, ["predictions.p", "exactly one of path, bed", "add path or bed"]),
        (ENTRY | FASTA | BED, ["predictions.p", "exactly one of path, bed", "drop all but one"]),
        (ENTRY | {"bed": "x.bed"}, ["predictions.p", "'bed' is given without 'genome'"]),
        (ENTRY | FASTA | {"genome": "grch38"}, ["'genome' is given without 'bed'"]),
        (ENTRY | BED | {"genome": "grch37"}, ["p.genome: 'grch37' is unknown", "'grch38'"]),
        (ENTRY | FASTA | {"model": "500m-human"}, ["predictions.p.model", f"'{MODEL}'"]),
        (ENTRY | FASTA | {"task": "mine.y"}, ["predictions.p.task", "did you mean 'mine.x'"]),
        (ENTRY | FASTA | {"method": "ia2"}, ["p.method: 'ia2'", "choose one of ia3, probe, mlp"]),
        (
            ENTRY | FASTA | {"method": "mlp", "task": "mine.bases"},
            ["predictions.p.method", "single bases", "mine.bases"],
        ),
        (ENTRY | FASTA | {"method": "bpnet"}, ["predictions.p.model", "bpnet reads", "remove"]),
        (
            {"method": "bpnet_large", "task": "mine.x"} | FASTA,
            ["predictions.p.method", "scores alone", "save: trained"],
        ),
        (ENTRY | FASTA | {"method": "full"}, ["predictions.p.method", "scores alone"]),
        (ENTRY | FASTA | {"window": 300}, ["predictions.p.window", "goes with 'bed'"]),
        (ENTRY | BED | {"format": "csv"}, ["predictions.p.format", "goes with 'path'"]),
        (ENTRY | FASTA | {"too_long": "crop"}, ["predictions.p.too_long", "'crop'", "centre"]),
        (ENTRY | FASTA | {"strand": "both"}, ["the key 'strand'", "did you mean 'strands'"]),
        (ENTRY | FASTA | {"folds": []}, ["predictions.p.folds", "all, or a list of folds"]),
        (
            ENTRY | FASTA | {"max_bases": 100, "tile_overlap": 100},
            ["predictions.p.tile_overlap", "at most 100 bases", "raise max_bases"],
        ),
    ],
)
def test_a_wrong_entry_is_one_sentence(entry, parts):
    (error,) = find_errors(merged({"predictions": {"p": entry}}))
    assert all(part in error for part in parts), error


def test_a_name_that_no_prediction_has_is_named():
    config = merged({"predictions": {"mine": ENTRY | FASTA}, "run": {"predictions": ["min"]}})
    assert find_errors(config) == ["run.predictions: 'min' is unknown; did you mean 'mine'?"]
    assert find_errors(merged({"run": {"predictions": ["*.x"]}})) == []


def test_what_an_entry_leaves_out_comes_from_the_defaults_and_the_task():
    config = merged(
        {"predictions": {"p": ENTRY | BED | {"strands": "both"}}},
        {"tasks": {"mine.x": {"other_letters": "mask", "min_bases": 12, "pooling": "centre"}}},
    )
    settings = resolve_prediction(config, "p")
    assert settings["name"] == "p"
    assert (settings["strands"], settings["folds"]) == ("both", "all")
    assert (settings["other_letters"], settings["min_bases"]) == ("mask", 12)
    assert not {"path", "bed", "genome"} & settings.keys()  # a moved file predicts nothing anew
    asked = resolve_asked(config, "p")
    assert (asked["pooling"], asked["centre_bases"]) == ("centre", 24)
    own = {"predictions": {"p": {"other_letters": "drop", "min_bases": 3}}}
    settings = resolve_prediction(resolve.merge(config, own), "p")
    assert (settings["other_letters"], settings["min_bases"]) == ("drop", 3)


def test_a_model_of_embeddings_alone_is_valid_and_predicts_nothing():
    foreign = {"models": {"theirs": {"embeddings": "vectors/{task}.parquet", "licence": "CC0"}}}
    config = merged(foreign, {"run": {"models": [MODEL, "theirs"]}})
    assert find_errors(config) == []
    (error,) = find_errors(
        merged(config, {"predictions": {"p": ENTRY | FASTA | {"model": "theirs"}}})
    )
    assert "of 'theirs' there are embeddings alone" in error


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"corpus": "human-reference"}, "models.theirs.corpus: of this model there are embeddings"),
        ({"preset": "v1-500m"}, "models.theirs.preset: of this model there are embeddings alone"),
        ({"embeddings": "a/{tsk}.parquet"}, "has braces of another meaning than {task} or {name}"),
        ({"embeddings": "a/{.parquet"}, "has braces of another meaning"),
    ],
)
def test_a_wrong_model_of_embeddings_is_one_sentence(entry, sentence):
    models = {"theirs": {"embeddings": "{task}.parquet"} | entry}
    (error,) = find_errors(merged({"models": models}))
    assert sentence in error


def test_models_that_embedders_open_are_valid_and_predict():
    models = {
        "stock": {"embedder": {"transformers": "/weights/x", "imports": ["a.b"]}, "licence": "mit"},
        "hub": {"embedder": {"transformers": "lab/x", "revision": "v1"}, "licence": "unknown"},
        "own": {"embedder": {"call": "a.b:c", "options": {"n": 1}}, "licence": "mit"},
    }
    models["stock"]["embedder"]["ignore_code"] = True
    models["own"]["environment"] = "envs/mine.yaml"
    config = merged({"models": models}, {"run": {"models": [MODEL, *models]}})
    assert find_errors(config) == []
    for model, method in (("own", "probe"), ("stock", "probe"), ("hub", "mlp"), ("stock", "ia3")):
        entry = ENTRY | FASTA | {"model": model, "method": method}
        assert find_errors(merged(config, {"predictions": {"p": entry}})) == []
    tuned = {"p": ENTRY | FASTA | {"model": "own", "method": "ia3"}}
    (error,) = find_errors(merged(config, {"predictions": tuned}))
    assert "'own' is opened by an embedder that is not fine-tuned; name a probe" in error


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"licence": None}, "models.x.licence: the licence of the weights is not given"),
        ({"preset": "v1-500m"}, "models.x.preset: this model is opened by its embedder; remove"),
        ({"weights": "/w"}, "models.x.weights: this model is opened by its embedder; remove"),
        ({"embedder": {"call": "a:b", "ignore_code": True}}, "ignore_code: it says nothing beside"),
        ({"embedder": {"call": "a:b", "revision": "x"}}, "revision: it says nothing beside `call`"),
        ({"embedder": {"transformers": "/x", "options": {}}}, "says nothing beside `transformers`"),
        ({"embedder": {"transformers": "/x", "revision": "v"}}, "a folder has no revision"),
        ({"embedder": {"call": "a.b"}}, "models.x.embedder.call"),
        ({"embedder": {"call": "os; x:y"}}, "models.x.embedder.call"),
        ({"embedder": {"call": "a:b", "transformers": "/x"}}, "models.x.embedder"),
        ({"embedder": {}}, "models.x.embedder"),
        ({"embedder": {"transformers": "/x", "imports": ["a b"]}}, "models.x.embedder.imports"),
    ],
)
def test_a_wrong_embedder_is_one_sentence(entry, sentence):
    model = {"embedder": {"call": "a:b"}, "licence": "mit"} | entry
    model = {key: value for key, value in model.items() if value is not None}
    (error,) = find_errors(merged({"models": {"x": model}}))
    assert sentence in error


def test_predictions_are_chosen_by_patterns():
    entries = {"a.x": ENTRY | FASTA, "a.y": ENTRY | BED, "b": ENTRY | FASTA}
    config = merged({"predictions": entries, "run": {"predictions": ["a.*"]}})
    assert list(resolve.select_predictions(config)) == ["a.x", "a.y"]
