"""The configuration: what is shipped is valid, and what is wrong is said in one sentence."""

import copy
import csv
import json
from pathlib import Path

import pytest
import yaml

from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning
from dnalm.configuration import panels, references, resolve, schema, task_sheet, weights
from dnalm.configuration.finetuning import (
    find_method_warnings,
    resolve_method,
    resolve_network,
)
from dnalm.errors import InputError
from dnalm.methods import ADAPTERS, NETWORKS
from dnalm.model.config import EncoderConfig, count_parameters

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
task_sheet.add_sheets(SHIPPED, [ROOT / "resources/tasks.tsv"])

PANEL = {"genome": "grch38", "path": {"chr1": "c1.vcf.gz"}, "contigs": ["chr1", "chr2"]}
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
PROMOTERS = {"genome": "g", "recipe": "promoters", "intervals": "x.bed"}
SITES = {
    **{k: v for k, v in ENHANCERS.items() if k not in ("intervals", "labels_by_name")},
    "genome": "grch38",
    "recipe": "splice_sites",
    "annotation": "x.gtf",
    "labels_by_kind": {"acceptor": 1},
}
LOADED = {"preset": "v2-50m", "weights": "./folder", "licence": "unknown"}
INDEX, PART = "model.safetensors.index.json", "model-00001-of-00002.safetensors"
OTHER_K, MISSPELT = {"path": "a", "k": 4}, {"hub": "a/b", "revison": "c"}
WITHOUT_RATE = {"adapter": "ia3", "seed": 1}

# Chromosomes 1 to 22, X and Y, in bases: the assembly report of GRCh38.p14.
GRCH38 = (
    *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636),
    *(138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345),
    *(83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415),
)


def overlay(*changes: dict) -> dict:
    config = copy.deepcopy(SHIPPED)
    for change in changes:
        config = resolve.merge(config, change)
    return config


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "tiny.yaml",
        "real.yaml",
        "real_quick.yaml",
        "real_tasks.yaml",
        "real_methods.yaml",
    ],
)
def test_overlays_are_valid_on_top_of_the_shipped_configuration(name):
    below = {
        "real_quick.yaml": ["real.yaml"],
        "real_tasks.yaml": ["real.yaml"],
        "real_methods.yaml": ["real.yaml"],
        "tiny.yaml": ["config.yaml"],
    }
    layers = [*below.get(name, []), name]
    config = overlay(*(yaml.safe_load((ROOT / "tests" / layer).read_text()) for layer in layers))
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert references.find_reference_errors(config, PUBLISHED) == []


@pytest.mark.parametrize(
    "key",
    [
        *(f"pretrain.masking.{key}" for key in ("selected", "masked", "random")),
        "pretrain.optimizer.eps",
        "pretrain.schedule.decay",
        "model.generations.v2",
        "audit.k",
    ],
)
def test_a_default_that_was_taken_out_of_the_configuration_is_missed(key):
    config = copy.deepcopy(SHIPPED)
    *above, last = key.split(".")
    section = config
    for part in above:
        section = section[part]
    del section[last]
    (error,) = schema.find_schema_errors(config, SCHEMA)
    assert error == f"{'.'.join(above)}: the key '{last}' is missing; add it."


def test_a_recipe_whose_default_was_taken_out_is_missed():
    config = overlay({"tasks": {"mine.x": resolve.merge(BUILT, {"build": SITES})}})
    config["tasks"]["mine.x"]["build"]["genome"] = "grch38"
    config = copy.deepcopy(config)
    del config["build"]["recipes"]["splice_sites"]["min_intron"]
    errors = references.find_reference_errors(config, PUBLISHED)
    wanted = "tasks.mine.x.build.min_intron: the recipe splice_sites needs it"
    assert any(error.startswith(wanted) for error in errors)
    assert all("min_intron" in error for error in errors)


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
        ({"estimate": {"gpus": ["H10"]}}, ["estimate.gpus.0", "'H10'", "H100"]),
        ({"estimate": {"utilisation": 40}}, ["estimate.utilisation", "40", "1"]),
        ({"probe": {"penalties": ["a"]}}, ["probe.penalties.0", "'a'", "number"]),
        ({"pretrain": {"tokens": "5e10"}}, ["pretrain.tokens", "'5e10'", "50000000000"]),
        ({"pretrain": {"seed": 1.0e4}}, ["pretrain.seed", "whole number (in full: 10000)"]),
        ({"pretrain": {"steps": 1.0e4}}, ["pretrain.steps", "or null (in full: 10000)"]),
        ({"pretrain": {"seed": True}}, ["pretrain.seed", "true", "whole number."]),
        ({"pretrain": {"seed": 1.5}}, ["pretrain.seed", "1.5", "whole number."]),
        ({"embed": {"layers": 2.0}}, ["embed.layers", "2.0", "a whole number of layers"]),
        ({"probe": {"penalties": ["1e-4"]}}, ["probe.penalties.0", "'1e-4'", "write 1.0e-4"]),
        ({"probe": {"penalties": [1, 0.1, 1.0]}}, ["probe.penalties", "twice"]),
        ({"probe": {"penalties": [0.1, 0]}}, ["probe.penalties.1", "0", "more"]),
        ({"probe": {"penalties": []}}, ["probe.penalties", "[]"]),
        ({"embed": {"layers": "some"}}, ["embed.layers", "'some'", "or all"]),
        ({"embed": {"layers": []}}, ["embed.layers", "[]", "a list of layers"]),
        ({"run": {"models": ["a", "a"]}}, ["run.models", "twice"]),
        ({"cross_validation": {"splits": 1}}, ["cross_validation.splits", "1", "at least 2"]),
        ({"tasks": {"mine.a b": BUILT | {"path": "x"}}}, ["tasks", "'mine.a b'"]),
        ({"genomes": {"x": {"species": "y"}}}, ["genomes.x", "url, path, simulate", "add"]),
        (
            {"finetune": {"methods": {"b": WITHOUT_RATE}}},
            ["finetune.methods.b", "'learning_rate' is missing"],
        ),
        (
            {"finetune": {"methods": {"lora": {"options": {"targets": ["querry"]}}}}},
            ["finetune.methods.lora.options.targets.0", "'querry'", "choose one of query, "],
        ),
        ({"finetune": {"methods": {"ia3": {"schedule": "cosin"}}}}, ["'cosin'", "one of cosine"]),
        ({"baselines": {"bpnet": {"network": {"filter": 3}}}}, ["'filter'", "mean 'filters'"]),
        ({"pretrain": {"precision": "fp8"}}, ["pretrain.precision", "'fp8'", "bf16"]),
        ({"pretrain": {"masking": {"selected": 1.5}}}, ["pretrain.masking.selected", "1.5"]),
        ({"pretrain": {"masking": {"masked": 0}}}, ["pretrain.masking.masked", "0"]),
        ({"pretrain": {"residual": "fp16"}}, ["pretrain.residual", "fp16"]),
        ({"pretrain": {"optimizer": {"beta1": 1.0}}}, ["pretrain.optimizer.beta1", "1.0"]),
        ({"pretrain": {"seed": 2**70}}, ["pretrain.seed", str(2**70)]),
        (
            {"genomes": {"x": {"path": "a", "url": "b"}}},
            ["genomes.x", "exactly one", "drop", "null"],
        ),
        (
            {"tasks": {"mine.x": {"path": "a", "hub": "a/b"}}},
            ["tasks.mine.x", "exactly one of path, url, hub, build"],
        ),
        ({"tasks": {"mine.x": {"hub": "data"}}}, ["tasks.mine.x.hub", "'data'", "form"]),
        ({"task_sheet": 1}, ["task_sheet", "a path, a list of paths, or null"]),
        (
            {"tasks": {"mine.x": {"build": {"genome": "grch38", "recipe": "promoter"}}}},
            ["tasks.mine.x.build.recipe", "'promoter'", "promoters, splice_sites"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"build": SITES | {"labels_by_kind": {"aceptor": 1}}}}},
            ["tasks.mine.x.build.labels_by_kind", "'aceptor'", "did you mean 'acceptor'"],
        ),
        (
            {"tasks": {"mine.x": BUILT | {"build": ENHANCERS | {"labels_by_name": {1: 1}}}}},
            ["tasks.mine.x.build.labels_by_name", "1 has the wrong type", "a text"],
        ),
        ({"models": {"a/b": {"preset": "v2-50m", "corpus": "c"}}}, ["models", "a/b"]),
        ({"models": {"m": LOADED | {"weights": {}}}}, ["models.m.weights", "path, hub", "add"]),
        ({"models": {"m": LOADED | {"weights": {"hub": "a"}}}}, ["m.weights.hub", "'a'", "form"]),
        ({"models": {"m": LOADED | {"weights": MISSPELT}}}, ["'revison'", "mean 'revision'"]),
        ({"models": {"m": LOADED | {"weights": 1}}}, ["models.m.weights", "a text or a mapping"]),
        ({"models": {"m": LOADED | {"layer_norm_eps": 0}}}, ["models.m.layer_norm_eps", "more"]),
        (
            {"tasks": {"mine.x": {"path": "{split}.csv", "labels": {}}}},
            ["tasks.mine.x.labels: {} is empty; give at least 1 key with its value."],
        ),
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
        ({"mlp": {"units": [64, 32]}}, ["mlp.units", "64 to 32"]),
        (
            {"estimate": {"panels": {"1000h": {"records": 1, "samples": 1}}}},
            ["estimate.panels", "'1000g'"],
        ),
        ({"run": {"pretrain_only": ["500m-1000"]}}, ["run.pretrain_only", "'500m-1000g'"]),
        ({"run": {"pretrain_only": ["500m-human-ref"]}}, ["among run.models too"]),
        (
            {"corpora": {"thousand-genomes": {"haplotypes": {"panel": "1000"}}}},
            ["corpora.thousand-genomes.haplotypes.panel", "'1000g'"],
        ),
        (
            {"corpora": {"multispecies": {"haplotypes": {"panel": "1000g"}}}},
            ["corpora.multispecies.haplotypes.panel", "'grch38'", "genomes"],
        ),
        ({"panels": {"1000g": {"genome": "grch37"}}}, ["panels.1000g.genome", "'grch38'"]),
        ({"panels": {"1000g": {"url": {"*": "https://h.org/{sample}"}}}}, ["panels.1000g.url"]),
        ({"panels": {"p": PANEL}}, ["panels.p.path", "no file for chr2", "'*'"]),
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
        (
            {"tasks": {"mine.x": BUILT | {"path": "{split}.csv", "label_pattern": "x"}}},
            ["tasks.mine.x.label_pattern", "has no group"],
        ),
        *[
            ({"tasks": {"mine.x": BUILT | {"path": path}}}, ["tasks.mine.x", path, said])
            for path, said in (
                ("a{", "do not match"),
                ("a}", "do not match"),
                ("a{}", "holds {}"),
                ("{split:d}", "holds {split:d}"),
                ("{split!r}", "holds {split!r}"),
                ("{name[0]}", "holds {name[0]}"),
            )
        ],
        (
            {"tasks": {"mine.x": BUILT | {"path": "{split}.csv", "labels": {"a": 0, "b": 2}}}},
            ["tasks.mine.x.labels", "'b' is given the class 2", "0 to 1"],
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
            {"windows": {"released": {"start_max": 6199}}},
            ["corpora.human-reference.windows", "6-mer"],
        ),
        ({"model": {"presets": {"v2-50m": {"heads": 512}}}}, ["v2-50m", "1 wide", "even"]),
        ({"models": {"m": {"preset": "v2-51m", "corpus": "multispecies"}}}, ["models.m.preset"]),
        ({"models": {"m": {"preset": "v1-500m", "corpus": "nowhere"}}}, ["models.m.corpus"]),
        (
            {"models": {"m": {"preset": "v1-500m", "corpus": "multispecies-12kb"}}},
            ["models.m", "vocabulary v1", "v2"],
        ),
        ({"models": {"m": {"preset": "v1-500m"}}}, ["models.m", "neither corpus nor weights"]),
        (
            {"run": {"pretrain_only": ["published.500m-1000g"]}},
            ["run.pretrain_only", "'published.500m-1000g' has no corpus"],
        ),
        ({"models": {"m": LOADED | {"licence": None}}}, ["models.m.licence", "not given"]),
        ({"models": {"m": LOADED | {"pretrain": {"seed": 1}}}}, ["models.m.pretrain", "remove"]),
        (
            {"models": {"m": LOADED | {"weights": {"path": "a", "files": ["pytorch_model.bin"]}}}},
            ["models.m.weights.files: pytorch_model.bin is a pickle", "safetensors"],
        ),
        (
            {"models": {"m": LOADED | {"weights": {"hub": "a/b", "files": ["a.txt"]}}}},
            ["models.m.weights.files: a.txt does not end in"],
        ),
        (
            {"models": {"m": LOADED | {"weights": {"hub": "a/b", "files": [INDEX]}}}},
            ["models.m.weights.files", "an index alone"],
        ),
        (
            {"models": {"m": LOADED | {"weights": {"path": "a", "revision": "b"}}}},
            ["models.m.weights.revision", "no revision"],
        ),
        (
            {"models": {"m": LOADED | {"weights": "a/pytorch_model.bin"}}},
            ["m.weights", "pickle"],
        ),
        ({"models": {"m": LOADED | {"weights": "a/config.json"}}}, ["holds no weights", "folder"]),
        (
            {"corpus": {"min_kmers": 1000}},
            ["at most 999 k-mers", "1000 count"],
        ),
        (
            {"pretrain": {"residual": "bf16", "precision": "float32"}},
            ["models.", "residual is bf16", "precision"],
        ),
        ({"pretrain": {"masking": {"selected": 0.0001}}}, ["of 999 tokens", "none to guess"]),
        (
            {"models": {"m": LOADED | {"weights": {"path": "a.safetensors", "files": [PART]}}}},
            ["models.m.weights.files", "a file already"],
        ),
        (
            {"models": {"m": LOADED | {"weights": {"hub": "a/b", "sha256": {"x": "0" * 64}}}}},
            ["models.m.weights.sha256: x is no file of the weights; known are config.json,"],
        ),
        (
            {"models": {"m": LOADED | {"corpus": "multispecies-12kb", "weights": OTHER_K}}},
            ["models.m.weights.k", "4-mers", "6-mers"],
        ),
        (
            {
                "models": {"m": LOADED | {"preset": "v1-500m"}},
                "run": {"models": ["m"]},
                "tasks": {"revised.promoter_all": {"length": 20000}},
            },
            ["tasks.revised.promoter_all", "20000 bases", "1000"],
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
            {"tasks": {"mine.x": BUILT | {"path": "{split}.csv", "test_share": 0.1}}},
            ["tasks.mine.x.test_share", "one file of all rows"],
        ),
        (
            {
                "tasks": {
                    "mine.x": BUILT
                    | {"path": "a.csv", "test_share": 0.1, "sha256": {"test": "0" * 64}}
                }
            },
            ["tasks.mine.x.sha256", "no test file"],
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


@pytest.mark.parametrize(
    ("change", "key", "start"),
    [
        ({"tasks": {"mine.x": BUILT | {"path": "~/{split}.csv"}}}, "tasks.mine.x.path", "~"),
        ({"genomes": {"g": {"path": "$HOME/g.fa"}}}, "genomes.g.path", "$HOME"),
        ({"genomes": {"g": {"path": "~ada/g.fa"}}}, "genomes.g.path", "~ada"),
        ({"mirror": "${SCRATCH}/mirror"}, "mirror", "${SCRATCH}"),
    ],
)
def test_what_only_a_shell_replaces_is_no_path(change, key, start):
    (error,) = references.find_reference_errors(overlay(change), PUBLISHED)
    assert f"{key}: '{start}/" in error
    assert f"begins with {start}, which" in error


def test_options_of_a_readers_own_function_are_its_own():
    embedder = {"call": "a:b", "options": {"weights": "~/w"}}
    model = {"embedder": embedder, "licence": "mit"}
    assert references.find_reference_errors(overlay({"models": {"m": model}}), PUBLISHED) == []


def test_an_unknown_name_is_told_once():
    entry = {"vcf": "a.vcf", "genome": "grch38", "models": ["m", "m.untrained"]}
    errors = references.find_reference_errors(overlay({"variants": {"v": entry}}), PUBLISHED)
    assert len(errors) == len(set(errors))


REGRESSION = {"kind": "regression", "classes": 2, "path": "{split}.csv"}


@pytest.mark.parametrize("name", ["no", "yes", "On", "~", "2024-01-31", "false", "null"])
@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("tasks: {mine.x: {path: '{split}.csv', labels: {%s: 0, b: 1}}}", "tasks.mine.x.labels"),
        ("task: {labels: {%s: 0, b: 1}}", "task.labels"),
        ("genomes: {g: {path: g.fa, contigs: {%s: chr1}}}", "genomes.g.contigs"),
        ("genomes: {g: {path: g.fa, contigs: [a, %s]}}", "genomes.g.contigs"),
        ("genomes: {g: {path: g.fa, contigs: {a: %s}}}", "genomes.g.contigs"),
    ],
)
def test_a_name_that_yaml_reads_as_no_text_is_asked_for_in_quotes(entry, key, name):
    (error,) = schema.find_schema_errors(overlay(yaml.safe_load(entry % name)), SCHEMA)
    assert error.startswith(f"{key}: ")
    assert "quotes" in error
    good = overlay(yaml.safe_load(entry % f"'{name}'"))
    assert schema.find_schema_errors(good, SCHEMA) == []


@pytest.mark.parametrize(
    "entry",
    [
        "tasks: {mine.x: {path: '{split}.csv', labels: {-1: 0, 1: 1}}}",
        "tasks: {mine.x: {path: '{split}.csv', labels: {-0.5: 0, 1.5: 1}}}",
        "genomes: {g: {path: g.fa, contigs: {1: chr1, 2: chr2}}}",
    ],
)
def test_numbers_are_names_of_labels_and_records(entry):
    assert schema.find_schema_errors(overlay(yaml.safe_load(entry)), SCHEMA) == []


BY_CLASS = {"train": {0: "neg.fa", 1: ["a.fa", "b.fa"]}, "test": {"0": "c.fa", "1": "d.fa"}}


def test_files_of_one_class_each_are_listed_with_their_labels():
    config = overlay({"tasks": {"mine.x": {"path": BY_CLASS}}})
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert references.find_reference_errors(config, PUBLISHED) == []
    task = resolve.resolve_task(config, "mine.x")
    assert resolve.list_sources(task, "mine.x", "train") == ["neg.fa", "a.fa", "b.fa"]
    described = resolve.describe_rows(config, "mine.x")
    assert described["file_labels"] == {"train": ["0", "1", "1"], "test": ["0", "1"]}
    drawn = overlay(
        {"tasks": {"mine.x": {"path": {"train": BY_CLASS["train"]}, "test_share": 0.2}}}
    )
    assert schema.find_schema_errors(drawn, SCHEMA) == []
    assert references.find_reference_errors(drawn, PUBLISHED) == []
    described = resolve.describe_rows(drawn, "mine.x")
    assert described["file_labels"] == {"train": ["0", "1", "1"], "test": None}
    plain = overlay({"tasks": {"mine.x": {"path": "{split}.csv"}}})
    assert "file_labels" not in resolve.describe_rows(plain, "mine.x")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"path": BY_CLASS, "test_share": 0.2}, "{train: ...} alone"),
        ({"path": {"train": BY_CLASS["train"]}}, "there are no test files; name them, or set"),
        ({"path": BY_CLASS, "kind": "regression", "classes": 1, "label_pattern": "(.)"}, "of one"),
        ({"path": {**BY_CLASS, "train": {"0": "c.fa", "1": "e.fa"}}}, "both train and test"),
        ({"path": {**BY_CLASS, "train": {"0": "e.fa", "1": "e.fa"}}}, "e.fa is named twice"),
        ({"path": {**BY_CLASS, "train": {"0": "e.fa", "1": "{x}.fa"}}}, "holds {x}"),
    ],
)
def test_files_by_class_that_contradict_are_named(task, said):
    config = overlay({"tasks": {"mine.x": task}})
    assert schema.find_schema_errors(config, SCHEMA) == []
    (error,) = references.find_reference_errors(config, PUBLISHED)
    assert error.startswith("tasks.mine.x")
    assert said in error


LABELS = {"kind": "multilabel", "classes": 3, "path": "{split}.csv"}
BASES = {"kind": "per_base", "classes": 3, "path": "{split}.csv"}


@pytest.mark.parametrize(
    ("task", "key", "said"),
    [
        (REGRESSION, "", ""),
        (REGRESSION | {"classes": 1}, "", ""),
        (REGRESSION | {"label_column": ["a", "b"]}, "", ""),
        (LABELS | {"labels": {"no": 0, "yes": 1}, "label_separator": " "}, "", ""),
        (BASES, "", ""),
        (LABELS | {"path": "{split}.fa.gz", "label_pattern": "([01]+)$"}, "", ""),
        (REGRESSION | {"label_column": ["a"]}, "label_column", "1 columns are named, but the task"),
        (REGRESSION | {"labels": {"a": 0}}, "labels", "are numbers, no classes; remove the key"),
        (BASES | {"label_column": ["a", "b"]}, "label_column", "one label column; name one"),
        (
            BUILT | {"path": "{split}", "label_column": ["a"]},
            "label_column",
            "a binary task has one",
        ),
        (LABELS | {"labels": {"x": 2}}, "labels", "'x' is given the class 2, but 2 classes"),
        (LABELS | {"labels": {1: 0, "1": 1}}, "labels", "'1' stands there as a text and as a"),
        (LABELS | {"path": "{split}.fna"}, "label_pattern", "finds one label"),
        (
            REGRESSION | {"format": "fasta"},
            "label_pattern",
            "all that is the label of a regression",
        ),
    ],
)
def test_a_task_is_held_to_its_kind(task, key, said):
    config = overlay({"tasks": {"mine.x": task}})
    assert schema.find_schema_errors(config, SCHEMA) == []
    errors = references.find_reference_errors(config, PUBLISHED)
    assert [error.startswith(f"tasks.mine.x.{key}: ") and said in error for error in errors] == (
        [True] if key else []
    )


@pytest.mark.parametrize(
    ("kind", "classes"),
    [("binary", 1), ("binary", 3), ("multiclass", 2), ("multilabel", 1), ("per_base", 1)],
)
def test_every_kind_has_its_least_number_of_classes(kind, classes):
    task = {"path": "{split}.csv", "kind": kind, "classes": classes}
    (error,) = references.find_reference_errors(overlay({"tasks": {"mine.x": task}}), PUBLISHED)
    assert error.startswith(f"tasks.mine.x: kind is {kind} and classes {classes}")


def test_windows_that_are_cut_from_a_genome_have_one_class():
    task = {"kind": "regression", "classes": 1, "build": SITES}
    errors = references.find_reference_errors(overlay({"tasks": {"mine.x": task}}), PUBLISHED)
    assert any("`build` makes rows of one class" in error for error in errors)


def test_a_per_base_task_needs_a_method_that_fine_tunes():
    change = {"tasks": {"mine.x": BASES}, "run": {"tasks": ["mine.x"], "methods": ["probe"]}}
    (error,) = references.find_reference_errors(overlay(change), PUBLISHED)
    assert "probe cannot score the per-base task 'mine.x'" in error
    change["run"]["methods"] = ["probe", "ia3"]
    assert references.find_reference_errors(overlay(change), PUBLISHED) == []


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"sha256": {"train": "0" * 64}}, "sha256", "no file of rows; remove"),
        ({"format": "csv"}, "format", "no file of rows; remove"),
        ({"sequence_column": "sequence"}, "sequence_column", "no file of rows; remove"),
        ({"label_column": "label"}, "label_column", "no file of rows; remove"),
        ({"label_pattern": "(.)"}, "label_pattern", "no file of rows; remove"),
        ({"build": {"labels_by_kind": {"donor": 2}}}, "build.labels_by_kind", "'donor' is given"),
        ({"build": ENHANCERS | {"labels_by_name": {"x": 2}}}, "build.labels_by_name", "0 to 1"),
        ({"build": ENHANCERS | {"labels_by_name": {"(": 1}}}, "build.labels_by_name", "'(' is no"),
        # Here the numbers of `build` are labels, not yet classes.
        (
            {"build": {"labels_by_kind": {"donor": 2}}, "labels": {"0": 0, "1": 1, "2": 1}},
            "",
            "",
        ),
        (
            {"build": {"labels_by_kind": {"donor": 2}}, "labels": {"1": 1, "2": 1}},
            "labels",
            "label 0, which has no class",
        ),
        ({"build": ENHANCERS | {"decoys": "dinucleotide"}}, "build.decoys", "splice_sites alone"),
        ({"build": ENHANCERS | {"length": None}}, "build.length", "or decoys: none"),
        ({"build": {"length": None}}, "build.length", "cuts windows around sites; give a length"),
        ({"build": {"length": None, "decoys": "none"}}, "build.length", "cuts windows around"),
        ({"build": ENHANCERS | {"upstream": 1}}, "build.upstream", "enhancers does not read it"),
        ({"build": ENHANCERS | {"placement": "tss"}}, "build.placement", "promoters alone"),
        ({"build": ENHANCERS | {"annotation": "a"}}, "build.annotation", "does not read it"),
        ({"build": ENHANCERS | {"exclude_levels": [3]}}, "build.exclude_levels", "does not read"),
        ({"build": ENHANCERS | {"motifs": "a"}}, "build.motifs", "does not read it"),
        ({"build": ENHANCERS | {"labels_by_name": {"x": 0}}}, "build", "set decoys: none"),
        ({"build": ENHANCERS | {"types": "a"}}, "build.types_label", "is given the class 2"),
        (
            {"build": ENHANCERS | {"intervals": ["a", "b"], "sha256": {"intervals": "0" * 64}}},
            "build.sha256.intervals",
            "one file",
        ),
        (
            {"build": {"recipe": "promoters", "genome": "g"}},
            "build.intervals",
            "needs a BED file",
        ),
        (
            {"build": ENHANCERS | {"recipe": "promoters", "placement": "tss"}},
            "build.length",
            "upstream + downstream; remove it",
        ),
        ({"build": {"placement": "centre"}}, "build.placement", "splice_sites does not read it"),
        ({"build": PROMOTERS | {"motifs_column": "Inr"}}, "build.motifs_column", "`motifs` alone"),
        ({"build": PROMOTERS | {"labels_by_motif": {"0": 1}}}, "build.labels_by_motif", "add that"),
        ({"build": PROMOTERS | {"types_label": 1}}, "build.types_label", "alone; remove it"),
        ({"build": ENHANCERS | {"types_column": 5}}, "build.types_column", "add that"),
        ({"build": ENHANCERS | {"types_pattern": "x"}}, "build.types_pattern", "`types` alone"),
        ({"build": ENHANCERS | {"summit_column": 9}}, "build.summit_column", "`placement: summit`"),
        (
            {"build": ENHANCERS | {"decoys": "none", "negatives": "split"}},
            "build.negatives",
            "with `decoys: none` there are no negatives",
        ),
        ({"build": ENHANCERS | {"decoys": "none", "avoid": "windows"}}, "build.avoid", "remove it"),
        ({"build": ENHANCERS | {"summit_column": 9, "placement": "summit"}}, "", ""),
        ({"build": PROMOTERS | {"motifs_column": "Inr", "motifs": "m.txt"}}, "", ""),
        ({"files": "x"}, "files", "with `hub:` alone"),
    ],
)
def test_a_task_with_build_is_held_to_what_it_reads_and_to_its_classes(change, key, said):
    build = {"build": SITES} if "recipe" not in change.get("build", {}) else {}
    task = resolve.merge(BUILT | build, change)
    task["build"]["genome"] = "grch38"
    config = overlay({"tasks": {"mine.x": task}})
    assert schema.find_schema_errors(config, SCHEMA) == []
    errors = references.find_reference_errors(config, PUBLISHED)
    assert [error.startswith(f"tasks.mine.x.{key}: ") and said in error for error in errors] == (
        [True] if key else []
    )


@pytest.mark.parametrize(
    ("section", "name", "change"),
    [
        ("genomes", "grch38", {"url": None, "path": "my.fa.gz"}),
        ("corpora", "multispecies", {"sheet": None, "genomes": ["grch38"]}),
        ("models", "500m-human-ref", {"published_as": None}),
        ("tasks", "revised.H3K9ac", {"url": None, "path": "{split}.csv", "rows": None}),
    ],
)
def test_a_null_in_an_overlay_takes_an_inherited_key_away(section, name, change):
    config = overlay({section: {name: change}})
    resolve.drop_removed(config)
    assert schema.find_schema_errors(config, SCHEMA) == []
    assert references.find_reference_errors(config, PUBLISHED) == []
    kept = SHIPPED[section][name] | change
    assert config[section][name] == {k: v for k, v in kept.items() if v is not None}


def test_a_model_overrides_single_keys_of_the_pretraining_section():
    run = resolve.resolve_run(
        overlay({"models": {"500m-human-ref": {"pretrain": {"masking": {"random": 0.0}}}}}),
        "500m-human-ref",
    )
    assert run["pretrain"]["masking"] == {"selected": 0.15, "masked": 0.8, "random": 0.0}
    assert run["encoder"]["vocabulary_size"] == 4105
    assert run["encoder"]["token_dropout"] == 0.12


def test_the_corpus_of_500m_1000g_is_the_one_of_its_released_hyperparameters():
    name = "500m-1000g"
    run = resolve.resolve_run(SHIPPED, name)
    corpus = resolve.resolve_corpus(SHIPPED, SHIPPED["models"][name]["corpus"], ["grch38"])
    # cutoff_size, overlap; n_ratio; batch_size 14, acc_batch_size 5, two hosts of 8 GPUs.
    assert corpus["windows"] == {"length": 6200, "stride": 6000, "start_max": 200}
    assert run["pretrain"]["max_n_share"] == 0.05
    assert run["pretrain"]["batch_sequences"] == 14 * 5 * 2 * 8
    assert run["pretrain"]["masking"]["random"] == 0.0
    operation = SHIPPED["operation"] | SHIPPED["models"][name]["operation"]
    assert [operation[key] for key in ("nodes", "gpus_per_node", "micro_batch")] == [2, 8, 14]
    # Lengths of GRCh38.p14: training_set_proportion is 0.95.
    lengths = dict(zip(SHIPPED["genomes"]["grch38"]["contigs"].values(), GRCH38, strict=True))
    held_out = sum(lengths[one] for key in ("validation", "test") for one in corpus["split"][key])
    assert held_out / sum(lengths.values()) == pytest.approx(0.05, abs=0.001)


def test_the_older_windows_are_a_preset_and_ask_for_what_they_asked_for():
    changed = overlay({"corpora": {"human-reference": {"windows": "paper"}}})
    corpus = resolve.resolve_corpus(changed, "human-reference", ["grch38"])
    assert corpus["windows"] == {"length": 6100, "stride": 6050, "start_max": 100}
    # No key of which an older run.json knows nothing: it would be trained again.
    assert "max_n_share" not in resolve.resolve_run(changed, "500m-human-ref")["pretrain"]
    older = resolve.resolve_corpus(SHIPPED, "thousand-genomes-article", ["grch38"])
    assert (older["windows"], older["split"]) == (corpus["windows"], corpus["split"])


def test_the_published_name_of_a_model_is_no_part_of_what_decides_its_weights():
    renamed = overlay({"models": {"500m-human-ref": {"published_as": "other"}}})
    for model in ("500m-human-ref", "500m-human-ref.untrained"):
        assert resolve.resolve_run(renamed, model) == resolve.resolve_run(SHIPPED, model)


def test_a_text_is_a_repository_unless_it_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/model").mkdir(parents=True)
    for given, where, files in (
        ("lab/model", ("lab/model", "main"), None),
        ("here/model", "here/model", None),
        ("./lab/model", "./lab/model", None),
        ("folder", "folder", None),
        ("/deep/lab/model/", "/deep/lab/model", None),
        ("<data>/model", "<data>/model", None),
        ("lab/own.safetensors", "lab", ["own.safetensors"]),
        ("own.safetensors", ".", ["own.safetensors"]),
        ({"path": "lab/model"}, "lab/model", None),
        ({"hub": "here/model", "revision": "refs/pr/3"}, ("here/model", "refs/pr/3"), None),
        ({"hub": "a/b", "files": [INDEX, PART]}, ("a/b", "main"), [INDEX, PART]),
    ):
        config = overlay({"models": {"m": LOADED | {"weights": given}}})
        assert schema.find_schema_errors(config, SCHEMA) == []
        found = weights.resolve_weights(config, "m")
        assert (found.folder or (found.repository, found.revision)) == where
        assert found.files == files
        assert weights.is_of_hub(config, "m") == isinstance(where, tuple)


def test_the_weights_of_a_folder_are_one_file_or_an_index_and_its_parts(tmp_path):
    folder = tmp_path / "model"
    config = overlay({"models": {"m": LOADED | {"weights": {"path": str(folder)}}}})

    def listed() -> list[str]:
        paths = weights.list_folder_files(weights.resolve_weights(config, "m"), folder)
        assert paths["settings"] == f"{folder}/config.json"
        return [Path(path).name for path in paths["weights"]]

    assert listed() == ["model.safetensors"]  # a rule may make it
    folder.mkdir()
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": PART}}))
    with pytest.raises(InputError, match=f"the part {PART} that {INDEX} names is missing"):
        listed()
    (folder / PART).touch()
    assert listed() == [INDEX, PART]
    (folder / INDEX).write_text("[]")
    with pytest.raises(InputError, match="has no weight_map"):
        listed()
    (folder / INDEX).unlink()
    assert listed() == [PART]
    (folder / "other.safetensors").touch()
    with pytest.raises(InputError, match=r"which of .* is not known; name them as `files`"):
        listed()


def test_the_papers_own_weights_are_eight_repositories_with_licence_and_citation():
    names = [name for name in SHIPPED["models"] if name.startswith("published.")]
    trained = [name for name in SHIPPED["models"] if name not in names]
    assert sorted(names) == sorted(f"published.{name}" for name in trained)
    for name in names:
        source = weights.resolve_source(SHIPPED, name)
        base = name.removeprefix("published.")
        assert source["repository"] == f"InstaDeepAI/nucleotide-transformer-{base}"
        assert source["licence"] == "CC BY-NC-SA 4.0"
        assert "Nature Methods 22, 287-297" in source["citation"]
        ours = SHIPPED["models"][base]
        for key in ("preset", "published_as"):
            assert SHIPPED["models"][name].get(key) == ours.get(key)


def test_what_is_fetched_of_a_repository_is_found_when_it_is_listed():
    hub = {"hub": "a/b", "sha256": {"vocab.txt": "0" * 64, "model.safetensors": "1" * 64}}
    config = overlay({"models": {"m": LOADED | {"weights": hub}}})
    assert references.find_reference_errors(config, PUBLISHED) == []
    assert weights.resolve_repository(config, "m") == {
        "kind": "model",
        "name": "a/b",
        "revision": "main",
        "server": "https://huggingface.co",
        "files": None,
    }


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("500m-human-ref", "refs/pr/6"),
        ("500m-1000g", "526e3fa6534cf9731f9e8cf683cd28c15e15f7d6"),
        ("2.5b-1000g", "c13cfe481c2f6a2b1cabbb2b80e0ad1fbf32e45a"),
        ("2.5b-multi-species", "refs/pr/8"),
        ("v2-50m-multi-species", "main"),
        ("v2-100m-multi-species", "main"),
        ("v2-250m-multi-species", "refs/pr/2"),
        ("v2-500m-multi-species", "main"),
    ],
)
def test_published_weights_are_asked_for_where_they_are_safetensors(name, revision):
    assert weights.resolve_weights(SHIPPED, f"published.{name}").revision == revision


def test_agront_has_as_many_numbers_as_its_file():
    """The pickle has 3,965,239,677 bytes: float32, and less than 0.01 % of names around them."""
    models = {"m": {"preset": "agront-1b", "weights": "a/b", "licence": "CC BY-NC-SA 4.0"}}
    config = overlay({"models": models})
    assert schema.find_schema_errors(config, SCHEMA) == []
    encoder = EncoderConfig(**resolve.resolve_run(config, "m")["encoder"])
    assert (encoder.max_tokens, encoder.token_dropout) == (1024, None)
    assert 0 < 3_965_239_677 - 4 * count_parameters(encoder) < 400_000


def test_a_loaded_model_has_no_training_and_its_untrained_twin_a_seed():
    run = resolve.resolve_run(SHIPPED, "published.v2-50m-multi-species")
    assert (run["pretrain"], run["corpus"], run["k"]) == (None, None, 6)
    assert (run["vocabulary"], run["encoder"]["vocabulary_size"]) == ("v2", 4107)
    untrained = resolve.resolve_run(SHIPPED, "published.v2-50m-multi-species.untrained")
    assert untrained["encoder"] == run["encoder"]
    assert untrained["pretrain"]["seed"] == SHIPPED["pretrain"]["seed"]


def test_a_model_may_have_an_eps_of_its_own():
    name = "published.v2-50m-multi-species"
    run = resolve.resolve_run(overlay({"models": {name: {"layer_norm_eps": 1e-12}}}), name)
    assert run["encoder"]["layer_norm_eps"] == 1e-12
    other = resolve.resolve_run(SHIPPED, "published.v2-100m-multi-species")
    assert other["encoder"]["layer_norm_eps"] == 1e-5


def test_a_model_with_corpus_and_weights_is_loaded_before_its_first_step():
    given = {"preset": "v2-50m", "weights": "lab/model", "licence": "CC0"}
    models = {"given": given, "both": given | {"corpus": "multispecies-12kb"}}
    config = overlay({"models": models})
    assert references.find_reference_errors(config, PUBLISHED) == []
    loaded = weights.list_loaded(config)
    assert {"given", "both.untrained"} <= set(loaded)
    assert not {"both", "given.untrained", "500m-1000g", "500m-1000g.untrained"} & set(loaded)
    assert resolve.resolve_run(config, "both.untrained")["pretrain"] is None
    assert resolve.resolve_run(config, "both")["pretrain"]["seed"] == 42
    rights = {"source": "lab/model@main", "licence": "CC0", "citation": None}
    for name in ("given", "both", "both.untrained"):
        assert weights.describe_rights(config, name) == rights
    for name in ("given.untrained", "500m-1000g", "500m-1000g.untrained"):
        assert weights.describe_rights(config, name) == dict.fromkeys(rights)


def wanted(*urls: str, sha256: str | None = None, md5: str | None = None) -> dict:
    return {"urls": list(urls), "sha256": sha256, "md5": md5}


def test_files_of_one_path_and_several_queries_are_several_downloads():
    urls = {split: f"https://h.org/get?f={split}" for split in ("train", "test")}
    config = overlay({"tasks": {"mine.x": BUILT | {"url": urls}}})
    merged = resolve.merge_downloads(resolve.list_downloads(config, {}, ["mine.x"]))
    assert merged == {f"h.org/f={split}/get": wanted(url) for split, url in urls.items()}


def test_requests_for_one_file_are_one_download_with_all_their_sums():
    url = "https://h.org/a"
    asked = [wanted(url), wanted(url, sha256="aB"), wanted(url, sha256="Ab", md5="1")]
    assert resolve.merge_downloads(asked) == {"h.org/a": wanted(url, sha256="ab", md5="1")}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (wanted("http://h.org/a"), "h.org/a would be .* https://h.org/a and of http://h.org/a;"),
        (wanted("https://h.org/a", "https://i.org/a"), "give the same addresses"),
        (wanted("https://h.org/b", "ftp://i.org/b"), "'ftp://i.org/b' is not a download address"),
        (wanted("https://h.org/a", sha256="2"), "https://h.org/a .* the sha256 1 and 2; correct"),
        (wanted("https://h.org/a", md5="2"), "https://h.org/a .* the md5 1 and 2; correct"),
    ],
)
def test_requests_that_contradict_each_other_are_refused(other, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve.merge_downloads([wanted("https://h.org/a", sha256="1", md5="1"), other])


def test_task_sources_fill_in_name_and_split():
    task = SHIPPED["tasks"]["revised.H3K4me3"]
    (url,) = resolve.list_sources(task, "revised.H3K4me3", "test")
    assert url.endswith("/H3K4me3/test.fna")


@pytest.mark.parametrize(
    ("panel", "alone"),
    [
        ({"path": "{contig}.bcf", "contigs": ["a", "b"]}, True),
        ({"path": "{contig}.bcf", "contigs": ["a"]}, True),
        ({"path": {"a": "x.bcf", "b": "y.bcf"}, "contigs": ["a", "b"]}, True),
        ({"path": {"*": "{contig}.bcf", "b": "y.bcf"}, "contigs": ["a", "b"]}, True),
        ({"path": "all.bcf", "contigs": ["a", "b"]}, False),
        ({"path": "all.bcf", "contigs": ["a"]}, False),
        ({"path": {"a": "all.bcf", "b": "all.bcf"}, "contigs": ["a", "b"]}, False),
    ],
)
def test_a_file_of_one_contig_is_told_from_one_of_all_by_its_name(panel, alone):
    assert panels.find_variants(panel, "a")[1] == alone


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (
            {"adapter": "ia3", "learning_rate": 1e-3, "options": {"rank": 2}},
            "finetune.methods.b.options.rank: the adapter ia3 has the options none; remove the",
        ),
        (
            {
                "adapter": "lora",
                "learning_rate": 1e-3,
                "options": {"rank": 2, "alpha": 1, "targets": ["key"]},
            },
            "finetune.methods.b.options: the adapter lora needs the key 'dropout'",
        ),
    ],
)
def test_options_that_do_not_fit_their_adapter_are_named(method, sentence):
    config = overlay({"finetune": {"methods": {"b": method}}})
    assert schema.find_schema_errors(config, SCHEMA) == []
    (found,) = references.find_reference_errors(config, PUBLISHED)
    assert found.startswith(sentence)


def test_balanced_classes_of_a_regression_are_refused_before_any_job():
    task = {"path": "{split}.csv", "kind": "regression", "classes": 1}
    run = {"tasks": ["mine.x"], "methods": ["head"], "baselines": ["bpnet"]}
    balanced = {"class_weights": "balanced"}
    config = overlay({"tasks": {"mine.x": task}, "run": run})
    assert references.find_reference_errors(config, PUBLISHED) == []
    config = overlay(config, {"baselines": {"bpnet": balanced}})
    (sentence,) = references.find_reference_errors(config, PUBLISHED)
    assert sentence.startswith(
        "baselines.bpnet.class_weights: balanced needs classes, but the task"
    )
    config = overlay(config, {"finetune": {"methods": {"head": balanced}}})
    (sentence,) = references.find_reference_errors(config, PUBLISHED)
    assert sentence.startswith("finetune.methods.head.class_weights: balanced needs classes")


def test_rates_that_suit_another_method_are_warned_of_where_the_method_is_run():
    rates = {"full": {"learning_rate": 5e-4}, "lora": {"learning_rate": 1e-5}}
    run = {"methods": ["probe", "full", "ia3", "head"]}
    (sentence,) = find_method_warnings(overlay({"run": run, "finetune": {"methods": rates}}))
    assert sentence == (
        "finetune.methods.full.learning_rate is 0.0005 and is a rate for ia3 or lora or head, but"
        " full fine-tuning usually learns at 1e-06 to 0.0001: lower it, or look at the training"
        " losses."
    )
    assert list(find_method_warnings(SHIPPED)) == []


def test_every_shipped_method_and_network_resolves_to_settings_of_the_library():
    assert SHIPPED["finetune"]["methods"].keys() == {adapter.name for adapter in ADAPTERS}
    for name in SHIPPED["finetune"]["methods"]:
        assert FinetuneConfig(**resolve_method(SHIPPED, name)).adapter == name
    for name in NETWORKS:
        settings = resolve_network(SHIPPED, name)
        summary = {"kind": "binary", "classes": 2}
        made = Finetuning.of_network(name, "t", summary, settings, SHIPPED["embed"])
        assert made.config.patience == settings["patience"]
        assert made.network["name"] == name
