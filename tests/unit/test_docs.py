"""The documentation: what it lists is what there is, and what it says to type is understood."""

import ast
import csv
import re
import subprocess

import documents
import pytest
import write_reference
import yaml
from snakemake.cli import get_argument_parser

from dnalm.configuration import references, resolve, schema
from dnalm.configuration.task_sheet import read_task_sheet

ROOT, PAGES = documents.ROOT, documents.PAGES
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
MAKE = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
VARIABLES = re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.M)
RULES = {
    path.stem: re.findall(r"^rule (\w+):", path.read_text(), re.M)
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
}
TARGETS = RULES["Snakefile"] + RULES["targets"]
each_page = pytest.mark.parametrize("page", PAGES, ids=documents.name_of)


@pytest.fixture(scope="module")
def generated():
    return {page.name: (page, text) for page, text in write_reference.make_pages().items()}


@pytest.mark.parametrize("name", ["results.md", "configuration.md", "rules.md"])
def test_the_generated_pages_are_in_step(generated, name):
    page, text = generated[name]
    assert page.read_text() == text, "run `make docs`"


def test_the_demo_says_its_time_and_disk_before_it_installs_anything():
    made = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = made.stdout.splitlines()
    said = [i for i, line in enumerate(lines) if re.search(r"\d+ minutes|\d+ GB", line)]
    run = next(i for i, line in enumerate(lines) if "snakemake --profile" in line)
    installs = [i for i, line in enumerate(lines) if "pip install" in line or "venv" in line]
    assert len(said) == 2
    assert max(said) < min([run, *(i for i in installs if i not in said)])


def test_every_rule_is_described():
    page = (ROOT / "docs/reference/rules.md").read_text()
    rules = {name for names in RULES.values() for name in names} - set(RULES["Snakefile"])
    assert {name for name in rules if f"| `{name}` | " in page} == rules


def test_every_key_of_the_configuration_stands_on_its_page():
    page = (ROOT / "docs/reference/configuration.md").read_text()
    missing = [
        f"{section}.{key}"
        for section, value in SHIPPED.items()
        if isinstance(value, dict)
        for key in value
        if f"| `{section}.{key}" not in page
    ]
    assert not missing
    # A comment beside a key, one that goes on below it, and one above the next key.
    row = next(line for line in page.splitlines() if line.startswith("| `probe.metric`"))
    assert (
        "picks one (layer, penalty) per model and task on validation rows; null: the first" in row
    )
    assert "Equal scores: the smaller validation loss" in row
    assert "| `panel.draw` | `random` | `random` or `first` or `second` |" in page


@each_page
def test_links_lead_to_files_and_headings_that_exist(page):
    for link, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if "://" in link:
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)", page.read_text())
        found = {(page.parent / link).resolve() for link in links}
        waiting += sorted(found - reached - set(waiting))
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(map(documents.name_of, pages - reached)) == []


@each_page
def test_paths_of_the_repository_that_a_page_names_exist(page):
    tops = "|".join(["config/", "docs/", "profiles/", "resources/", "rules/", "scripts/", "tests/"])
    named = re.findall(rf"`((?:{tops})[\w./-]+)`", page.read_text())
    named = [name.split(":")[0] for name in named]
    assert not [name for name in named if not (ROOT / name).exists()]


@each_page
def test_blocks_of_python_are_python(page):
    for code in documents.find_blocks(page, "python"):
        if "module " not in code:  # a Snakefile
            ast.parse(code)


@each_page
def test_commands_name_targets_options_and_files_that_exist(page, capsys):
    parser = get_argument_parser()
    for words in documents.find_commands(page):
        program, *rest = words
        if program == "make":
            targets = [word for word in rest if "=" not in word]
            assert set(targets) <= {*MAKE, *TARGETS}, words
            given = {word.partition("=")[0] for word in rest if "=" in word}
            assert given <= set(VARIABLES), words
            for word in rest:
                bench = re.fullmatch(r"BENCH=(\w+)", word)
                assert not bench or (ROOT / f"tests/bench/{bench[1]}.py").exists(), words
            continue
        try:
            arguments = parser.parse_args(rest)
        except SystemExit:
            pytest.fail(f"{' '.join(words)}: {capsys.readouterr().err}")
        known = {name for names in RULES.values() for name in names}
        # With a name of its own, in a workflow that has this one as a module.
        named = [target.removeprefix("dnalm_") for target in arguments.targets or []]
        assert all(name in known or name.isupper() or "/" in name for name in named), words
        for profile in arguments.profile or []:
            assert (ROOT / profile / "config.yaml").exists(), words
        for path in arguments.configfile or []:
            assert str(path) in documents.OVERLAYS or (ROOT / path).exists(), words


@each_page
def test_overlays_are_valid_on_top_of_the_shipped_configuration(page):
    sheet = read_task_sheet(ROOT / "resources/tasks.tsv")
    for block in documents.find_blocks(page, "yaml"):
        overlay = yaml.safe_load(block)
        config = resolve.merge(SHIPPED, overlay)
        resolve.drop_removed(config)
        assert schema.find_schema_errors(config, SCHEMA) == []
        models = overlay.get("run", {}).get("models", [])
        # Else what the block names is described in another one.
        if set(models) <= set(config["models"]) and "run" in overlay:
            config["tasks"] = {**sheet, **config["tasks"]}
            assert references.find_reference_errors(config, PUBLISHED) == []


@each_page
def test_keys_of_the_configuration_that_a_page_names_exist(page):
    if page.name == "CHANGELOG.md":
        return  # which names keys that are gone
    reference = (ROOT / "docs/reference/configuration.md").read_text()
    known = {name.split(".")[-1] for name in re.findall(r"^\| `([\w.-]+)` \|", reference, re.M)}
    for key in documents.find_keys(page, set(SHIPPED)):
        assert key.split(".")[-1] in known or _is_in(SHIPPED, key), key


def _is_in(config, key):
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def test_every_target_is_described():
    page = (ROOT / "docs/reference/targets.md").read_text()
    table = page[: page.index("## Make")]
    assert {name for name in TARGETS if f"`{name}`" in table} == set(TARGETS)
    listed = {name for name in MAKE if name not in ("env-dev",) and f"`make {name}" in page}
    assert listed >= set(MAKE) - {"env-dev"}


def test_the_readme_is_short_and_counts_the_published_numbers():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    own = [row for row in PUBLISHED if row["model"].startswith("NT")]
    assert f"0 of {len(own)}" in text
