"""Values that nobody means: each is a sentence, with all others, and never a traceback."""

import copy
import csv
import datetime
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.repeated_keys import find_repeated_keys
from dnalm.download.addresses import address_of
from dnalm.errors import InputError

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
DEMO = resolve.merge(SHIPPED, yaml.safe_load((ROOT / "tests/config.yaml").read_text()))
ODD = [None, True, -1, 1.5, math.nan, -math.inf, 10**400, "", "..", "a" * 300, "{x}", "a\n"]
ODD += [[], [1], [None], [["x"]], {}, {"a": "b"}, {1: "b"}, {"x": {"y": 1}}]
ODD += [datetime.date(2020, 1, 1)]


def places(value, path=()):
    """Yield the path of every value of a configuration."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(path, value):
    config = copy.deepcopy(DEMO)
    at = config
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return config


def errors_of(config):
    return schema.find_schema_errors(config, SCHEMA) or references.find_reference_errors(
        config, PUBLISHED
    )


def test_an_odd_value_anywhere_is_right_or_a_sentence():
    random, paths = np.random.default_rng(7), list(places(DEMO))
    for _ in range(250):
        path, value = paths[random.integers(len(paths))], ODD[random.integers(len(ODD))]
        for sentence in errors_of(changed(path, value)):
            assert sentence[-1] in ".?", (path, value, sentence)
            assert "\n" not in sentence


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**30)])
def test_every_number_of_the_configuration_is_finite(value):
    paths = [path for path in places(DEMO) if type(at(path)) in (int, float)]
    paths = [path for path in paths if not any("labels" in str(key) for key in path)]
    assert len(paths) > 60
    config = copy.deepcopy(DEMO)
    for path in paths:
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    told = schema.find_schema_errors(config, SCHEMA)
    for path in paths:
        key = ".".join(map(str, path))
        above = key.rsplit(".", 1)[0]
        assert any(one.startswith((f"{key}:", f"{above}:")) for one in told), key


def at(path):
    value = DEMO
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("panel", "largest_mismatch"), math.nan, "a number that is finite"),
        (("pathvars", "results"), "", "'' is empty; give at least 1"),
        (("pathvars", "results"), "res{x}", "give a folder other than /, without braces"),
        (("pathvars", "results"), "//", "'//' is not allowed; give a folder other than /"),
        (("pathvars", "results"), " ", "' ' is not allowed; give a folder other than /"),
        (("pathvars", "results"), "<results>/x", "names itself"),
        (("pathvars", "results"), "~/results", "without braces, line breaks, a ~ in front"),
        (("pathvars", "results"), f"a/{'n' * 300}", "names of more than 250 letters"),
        (("genomes", "g"), {"path": "~/g.fa"}, "line breaks and a ~ in front"),
        (("scratch",), "~/s", "give a path without a ~ in front, or null"),
        (("mirror",), "~/m", "a path without braces and a ~ in front, or null"),
        (("mirror",), "m{x}", "a path without braces and a ~ in front, or null"),
        (
            ("genomes", "g"),
            {"path": "x{y}.fa"},
            "'x{y}.fa' is not allowed; give a path without braces",
        ),
        (("genomes", "g" * 300), {"path": "x.fa"}, "has 300 letters; give at most 100"),
        (("genomes", "g\n"), {"path": "x.fa"}, "is not allowed; give a name of letters"),
        (("genomes", ".."), {"path": "x.fa"}, "is not allowed; give a name of letters"),
        (("genomes", "g"), {"path": "x.fa", "contigs": {"a": "b c"}}, "new names of one word"),
        (("genomes", "simulated", "simulate", "contigs", "a b"), 3000, "give a name of one word"),
        (("models", "m" * 300), {"preset": "tiny"}, "has 300 letters; give at most 100"),
        (("corpora", "c" * 300), {}, "has 300 letters; give at most 100"),
        (("panels", "p" * 300), {}, "has 300 letters; give at most 100"),
        (("mlp", "units"), [8], "[8] is too short; give at least 2."),
        (("mlp", "units"), [8, 16, 32], "[8, 16, 32] is too long; give at most 2."),
        (("tasks", "mine." + "x" * 300), {"path": "{split}.csv"}, "has 305 letters"),
        (("tasks", "mine.x"), {"path": "a{{b}}{split}.csv"}, "has a brace in a name"),
        (("genomes", "g"), {"path": "x.fa", "contigs": {False: "chr1"}}, "as false; put it"),
        (("genomes", "g"), {"path": "x.fa", "contigs": [1]}, "in quotes where YAML reads no text"),
        (("genomes", "g"), {"simulate": {"contigs": {1: 30}}}, 'in quotes, as "1"'),
    ],
)
def test_a_value_that_no_path_or_bound_can_have_is_told(path, value, words):
    told = errors_of(changed(path, value))
    assert any(words in sentence for sentence in told), told


@pytest.mark.parametrize("key", ["\0", "a\x1b[31m", "a\u202eb", "a\nb", "a" * 5000])
def test_a_key_of_odd_letters_is_told_in_letters_that_can_be_printed(key):
    config = changed(("probe", "penalties"), [0.1])
    config["probe"][key] = 1
    config["models"][key] = {"preset": key}
    told = errors_of(config)
    assert len(told) >= 2
    assert all(sentence.isprintable() and len(sentence) < 500 for sentence in told), told


def panel(**keys):
    return {"genome": "simulated", "contigs": ["one"], "path": "x.vcf.gz", **keys}


@pytest.mark.parametrize("contig", ["..", ".", "a/b", "a{b}", "a b", "c" * 300])
def test_the_contig_of_a_panel_is_the_name_of_a_folder(contig):
    told = errors_of(changed(("panels", "p"), panel(contigs=[contig])))
    assert any("panels.p.contigs" in sentence for sentence in told)


def test_a_mapping_in_place_of_a_list_is_told_together_with_all_other_errors():
    config = changed(("build", "contigs"), {"chr1": "chr1"})
    config["probe"]["penalties"] = ["a"]
    told = schema.find_schema_errors(config, SCHEMA)
    assert "build.contigs: {'chr1': 'chr1'} has the wrong type; give null or a list." in told
    assert any(one.startswith("probe.penalties.0") for one in told)


@pytest.mark.parametrize(
    "url",
    [
        "http://../x",
        "http://./x",
        "http://a..b/x",
        "http://h.org/a/./b",
        "http://h.org/a/%2e%2e/b",
        "http://h.org/a%2F..%2Fb",
        "http://h.org/" + "a" * 300,
        "http://" + "h" * 300 + "/x",
        "http://h.org/a%00b",
        "http://h.org/a%0Ab",
    ],
)
def test_an_address_that_is_no_place_on_a_disk_is_refused(url):
    with pytest.raises(InputError):
        address_of(url)


def test_a_brace_of_an_address_stays_quoted():
    assert address_of("http://h.org/a{b}%7Bc%7D.gz") == "h.org/a%7Bb%7D%7Bc%7D.gz"


def test_a_file_and_a_file_below_it_cannot_both_be_downloaded():
    urls = ["http://h.org/a", "http://h.org/ab", "http://h.org/a/b"]
    downloads = [{"urls": [url], "sha256": None, "md5": None} for url in urls]
    assert len(resolve.merge_downloads(downloads[:2])) == 2
    with pytest.raises(InputError, match=r"h.org/a and h.org/a/b are both to be downloaded"):
        resolve.merge_downloads(downloads)


MISFIT = {
    "run": {"models": ["tiny"], "tasks": ["mine.x"]},
    "tasks": {"mine.x": {"path": "{split}.csv", "kind": "binary", "classes": 2, "length": 99_999}},
}


@pytest.mark.parametrize("targets", [["corpora"], ["models", "exports"], ["tasks", "audits"]])
def test_targets_without_a_benchmark_need_no_task_that_fits_the_models(targets):
    config = resolve.merge(DEMO, MISFIT)
    assert references.find_reference_errors(config, PUBLISHED, targets=targets) == []
    for others in ([], ["all"], [*targets, "probes"]):
        (error,) = references.find_reference_errors(config, PUBLISHED, targets=others)
        assert "sequences of 99999 bases" in error


def test_a_run_may_have_no_model_and_no_task():
    assert errors_of(resolve.merge(DEMO, {"run": {"models": [], "tasks": []}})) == []


def test_every_target_is_known_with_or_without_a_benchmark():
    text = (ROOT / "rules/targets.smk").read_text() + (ROOT / "Snakefile").read_text()
    rules = {line[5:-1] for line in text.splitlines() if line.startswith("rule ")}
    assert rules <= set(references.TARGETS)


def test_a_section_that_is_written_twice_is_told_with_both_lines(tmp_path):
    """YAML takes the last one, so that the tasks of the first would be gone without a word."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "tasks: &t\n  mine.a: {path: a}\n  mine.b: {path: b, path: c}\n"
        "run: {models: [x, {a: 1, a: 2}], tasks: [mine.a]}\nother: *t\n? [1, 2]\n: 3\n"
        "tasks:\n  mine.c: {path: d}\n"
    )
    told = find_repeated_keys(path)
    assert [one.split(" is there twice")[0] for one in told] == [
        f"{path}:3: the key 'tasks.mine.b.path'",
        f"{path}:4: the key 'run.models.a'",
        f"{path}:8: the key 'tasks'",
    ]
    assert told[2].endswith("in line 1 too, and only the last counts; put both together.")


@pytest.mark.parametrize("name", ["config.yaml", "tests/config.yaml", "tests/real.yaml"])
def test_no_shipped_configuration_repeats_a_key(name):
    assert find_repeated_keys(ROOT / name) == []


@pytest.mark.parametrize("text", ["", "a: [", "[" * 3000, "\t", "3", "a: !x 1\na: 2"])
def test_what_is_no_mapping_repeats_nothing_or_says_so(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    assert len(find_repeated_keys(tmp_path / "x.yaml")) == text.count("!x")
