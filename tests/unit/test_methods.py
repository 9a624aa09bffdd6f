"""The table of methods: complete, importable, the only one, and what configuration offers."""

from pathlib import Path

import pytest
import yaml

from dnalm.configuration import schema
from dnalm.errors import InputError
from dnalm.methods import (
    ADAPTERS,
    BASELINES,
    BY_NAME,
    LORA_TARGETS,
    PROBES,
    SEQUENCE_BASELINES,
    UNTRAINED,
    find_adapter,
    find_function,
    warn_of_rate,
)
from dnalm.report.method_names import label

ROOT = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)


def test_names_and_words_are_told_apart():
    methods = [*PROBES, *ADAPTERS, *BASELINES]
    for field in ("name", "words"):
        values = [getattr(method, field) for method in methods]
        assert len(set(values)) == len(values)
    marks = [method.shape for method in BY_NAME.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    "path",
    [adapter.add for adapter in ADAPTERS]
    + [
        path
        for one in SEQUENCE_BASELINES.values()
        for path in (one.features, one.bases, one.network)
        if path is not None
    ],
)
def test_functions_of_the_table_are_there(path):
    assert callable(find_function(path))


def test_the_schema_offers_the_adapters_of_the_table_and_no_other():
    sections = SCHEMA["properties"]["finetune"]["properties"]
    method = sections["methods"]["additionalProperties"]
    assert method["properties"]["adapter"] == {"$ref": "#/$defs/adapter"}
    assert SCHEMA["$defs"]["adapter"]["enum"] == [adapter.name for adapter in ADAPTERS]
    assert SCHEMA["$defs"]["lora_target"]["enum"] == list(LORA_TARGETS)
    offered = sections["method"]["properties"]["options"]["properties"]
    assert offered.keys() == {option for adapter in ADAPTERS for option in adapter.options}
    # What an entry may leave out, the section `method` has.
    own = method["properties"].keys() - set(method["required"])
    assert own == sections["method"]["properties"].keys() == SHIPPED["finetune"]["method"].keys()


def test_rates_of_the_shipped_methods_lie_within_those_of_their_adapters():
    for name, method in SHIPPED["finetune"]["methods"].items():
        assert warn_of_rate(name, method["adapter"], method["learning_rate"]) is None
    assert warn_of_rate("x", "ia3", 1e-5).startswith("x is 1e-05 and is a rate for full, but IA3")
    assert "raise it" in warn_of_rate("x", "ia3", 1e-5)
    assert warn_of_rate("x", "head", 10.0).startswith("x is 10, but trained head usually learns")


def test_the_schema_has_settings_for_the_baselines_of_the_table_and_no_other():
    offered = SCHEMA["properties"]["baselines"]["properties"]
    assert offered.keys() == SEQUENCE_BASELINES.keys()
    assert SHIPPED["baselines"].keys() == SEQUENCE_BASELINES.keys()
    assert SHIPPED["run"]["baselines"][-1] == UNTRAINED.name


def test_each_probe_has_a_section_and_a_rule_whose_results_lie_in_its_folder():
    rules = (ROOT / "rules/probe.smk").read_text()
    for probe in PROBES:
        assert probe.name in SCHEMA["properties"]
        assert f'"<results>/{probe.folder}/{{model}}/{{task}}.tsv"' in rules


def test_a_method_of_the_users_own_is_called_by_its_name():
    assert label("ia3", "small") == "small · IA3 fine-tuning"
    assert label("ia3-slow", "small.untrained") == "small, untrained · ia3-slow"
    assert label("baseline", "kmers") == "k-mer counts"


def test_an_unknown_adapter_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"adapter: 'ia2' is not allowed; choose one of "):
        find_adapter("ia2")
