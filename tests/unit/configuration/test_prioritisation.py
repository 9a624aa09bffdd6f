"""Labels, classes and comparisons in entries of variants: resolved, and wrong ones named."""

import copy
import csv
import re
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import finetuning, prioritisation, references, resolve, schema
from dnalm.configuration.variants import resolve_variants

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MODEL = "500m-human-ref"
ENTRY = {"genome": "grch38", "models": [MODEL]}
VCF = {"vcf": "x.vcf"}
INFO = {"label": {"info": "CLNSIG", "positive": ["P"], "negative": ["B"]}}
TABLE = {"label": {"path": "labels.tsv"}}


def merged(entry, **others):
    config = copy.deepcopy(SHIPPED)
    config["run"]["tasks"] = []
    return resolve.merge(config, {"variants": {"v": ENTRY | entry, **others}})


def find_errors(entry, **others):
    config = merged(entry, **others)
    errors = schema.find_schema_errors(config, SCHEMA)
    return errors or references.find_reference_errors(config, PUBLISHED)


@pytest.mark.parametrize(
    "entry",
    [
        VCF,
        VCF | INFO,
        TABLE,
        VCF | TABLE | {"supervised": True},
        VCF | TABLE | {"finetune": ["ia3", "full"]},
        {"label": {"positives": "a.tsv"}, "match": {"common": "c.vcf.gz", "ratio": 9}},
        TABLE | {"match": {"common": "c", "choose": "tss_distance", "tss": "g.gtf.gz"}},
        VCF | {"consequence": {"info": "MC"}, "compare": {"cadd": {"info": "CADD"}}},
        TABLE | {"percentile": {"files": {MODEL: "d.parquet"}}, "published_as": "ClinVar"},
    ],
)
def test_entries_that_fit_are_taken(entry):
    assert find_errors(entry) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "v: nothing says which variants are scored; add 'vcf'"),
        (INFO, "v.label.info: a field is of the set's own file; add 'vcf'"),
        (VCF | {"label": {"info": "A"}}, "list the values of A that are 'positive'"),
        (VCF | {"label": {**INFO["label"], "path": "x"}}, "here is info and path"),
        ({"label": {"positives": "a"}}, "v.label.negatives: the file is missing"),
        (TABLE | {"match": {"ratio": 2}}, "v.match: 'common' is missing"),
        (
            TABLE | {"match": {"common": "c", "choose": "tss_distance"}},
            "v.match.tss: the file is missing; name a GTF, GFF3 or BED file",
        ),
        (TABLE | {"match": {"common": "c", "tss": "g.gtf"}}, "v.match.tss: nothing reads it"),
        (VCF | {"match": {"common": "c"}}, "nothing says which variants are positive"),
        (
            TABLE | {"match": {"common": "c", "same_consequence": True}},
            "v.match.same_consequence: the entry has no 'consequence'",
        ),
        (VCF | {"consequence": {}}, "v.consequence: give 'info'"),
        (VCF | {"compare": {"c": {"rises": True}}}, "v.compare.c: give one of"),
        (VCF | {"compare": {"c": {"table": "t"}}}, "v.compare.c.column: name the column"),
        (TABLE | {"compare": {"c": {"info": "X"}}}, "v.compare.c.vcf: the set has no own file"),
        (VCF | {"percentile": {"among": "w"}}, "v.percentile.among: 'w' is unknown"),
        (VCF | {"percentile": {"among": "v"}}, "an entry is no reference for itself"),
        (VCF | {"percentile": {"files": {"x": "d"}}}, f"there is none of '{MODEL}'"),
        (VCF | {"supervised": True}, "v.supervised: there are no labels to learn"),
        (VCF | {"finetune": ["ia3"]}, "v.finetune: there are no labels to learn"),
        (VCF | TABLE | {"finetune": ["ia33"]}, "v.finetune: 'ia33' is unknown; did you mean 'ia3'"),
        (VCF | {"published_as": "clinvar"}, "choose one of ClinVar"),
        (VCF | {"label": {"infos": "A"}}, "did you mean 'info'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(entry, said):
    errors = find_errors(entry)
    assert any(said in error for error in errors), errors
    assert all("\n" not in error for error in errors)


def test_a_reference_of_other_models_is_named():
    other = {"genome": "grch38", "models": ["v2-50m-multi-species"], "vcf": "c.vcf"}
    (error,) = find_errors(VCF | {"percentile": {"among": "common"}}, common=other)
    assert f"'common' is not scored by '{MODEL}'" in error


def test_what_an_entry_leaves_out_is_filled_in_and_files_are_apart():
    entry = VCF | INFO | {"match": {"common": "c.vcf", "ratio": 3}, "consequence": {"info": "MC"}}
    entry |= {"compare": {"gerp": {"table": "g.tsv.gz", "column": 3}}}
    config = merged(entry)
    settings = prioritisation.resolve_set(config, "v")
    assert settings["match"] == {
        "frequency": "AF", "min_frequency": 0.05, "within": 100_000, "same_consequence": False,
        "choose": "random", "ratio": 3, "seed": 42,
    }  # fmt: skip
    assert settings["consequence"]["severity"][-1] == "stop_gained"
    assert settings["compare"]["gerp"] == {
        "info": None, "column": 3, "by_position": False, "rises": True,
    }  # fmt: skip
    assert prioritisation.list_set_files(config, "v") == {
        "vcf": "x.vcf", "common": "c.vcf", "compare_table_gerp": "g.tsv.gz",
    }  # fmt: skip
    assert prioritisation.is_made(config["variants"]["v"])


def test_probes_ask_for_the_vectors_they_read():
    config = merged(VCF | INFO | {"supervised": {"groups": 3}})
    assert resolve_variants(config, "v")["features"] is True
    assert resolve_variants(merged(VCF | INFO), "v")["features"] is False
    supervised = prioritisation.resolve_supervised(config, "v")
    assert (supervised["groups"], supervised["inner_groups"]) == (3, 5)


DOCUMENTED = re.findall(
    r"^```yaml\n(.*?)^```", (ROOT / "docs/how-to/prioritisation.md").read_text(), re.M | re.S
)


@pytest.mark.parametrize("block", DOCUMENTED, ids=lambda block: block.split("\n")[1].strip(": {"))
def test_documented_entries_are_a_valid_configuration(block):
    config = resolve.merge(copy.deepcopy(SHIPPED), yaml.safe_load(block))
    config["run"]["tasks"] = []
    config["models"]["my-model"] = config["models"][MODEL]
    config["genomes"]["grch37"] = config["genomes"]["grch38"]
    errors = schema.find_schema_errors(config, SCHEMA)
    assert errors + references.find_reference_errors(config, PUBLISHED) == []


def test_the_papers_four_sets_have_an_overlay():
    text = (ROOT / "resources/reproduce/variants.yaml").read_text()
    entries = yaml.safe_load(text)["variants"]
    published = {entry.get("published_as") for entry in entries.values()}
    assert {"eQTL", "meQTL", "ClinVar", "HGMD"} <= published


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"precision": "bf16"}, "methods.ia3.precision is bf16, which would round away"),
        ({"precision": "auto"}, "methods.ia3.precision is auto, which would round away"),
        ({"head": "bins"}, "methods.ia3 is not for labels of two classes"),
        ({"class_weights": 2.0}, "methods.ia3 is not for labels of two classes"),
    ],
)
def test_methods_that_cannot_learn_from_pairs_are_named(changed, said):
    config = merged(VCF | TABLE | {"finetune": ["ia3"]})
    config["run"]["methods"] = []
    config["finetune"]["methods"]["ia3"] |= changed
    errors = "\n".join(references.find_reference_errors(config, PUBLISHED))
    assert f"variants.v.finetune: finetune.{said}" in errors


def test_a_finetuning_has_the_entrys_windows_groups_and_the_methods_settings():
    config = merged(VCF | TABLE | {"window": 600, "supervised": {"groups": 3}})
    found = prioritisation.resolve_finetuning(config, "v", "lora")
    assert (found["window"], found["groups"]) == (600, 3)
    assert found["method"] == finetuning.resolve_method(config, "lora")
