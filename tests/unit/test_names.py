"""Names of methods, kinds and recipes decide in their tables alone, nowhere else in the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnalm.benchmark.tasks.kinds import KINDS
from dnalm.benchmark.tasks.recipes.table import RECIPES
from dnalm.methods import ADAPTERS, BASELINES, PROBES

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "scripts/dnalm"
NAMES = {row.name for row in (*PROBES, *ADAPTERS, *BASELINES, *KINDS, *RECIPES)}
TABLES = {"methods.py", "benchmark/tasks/kinds.py"} | {
    f"benchmark/tasks/recipes/{recipe.name}.py" for recipe in RECIPES
}
# Words that are something else there: names of sets of features, of tables of a run, of a column
# that is drawn, and of a way to share out weights.
OTHER_MEANINGS = {
    ("benchmark/probing/baselines.py", "gc_content"),
    ("benchmark/probing/baselines.py", "one_hot"),
    ("benchmark/probing/baselines.py", "token_ids"),
    ("training/memory.py", "full"),  # sharding
    ("training/settings.py", "full"),
    ("report/figures/scores.py", "kmers"),
    ("report/tables/assembly.py", "kmers"),
}


def strings_that_decide(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of comparisons, cases, keys of dictionaries and arguments of `get`."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.match_case):
            parts = [node.pattern]
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            methods = ("get", "startswith", "endswith", "setdefault")
            parts = list(node.args[:1]) if node.func.attr in methods else []
        for part in filter(None, parts):
            # Not inside of a call or a subscript: those are no operands themselves.
            for inner in leaves(part):
                yield inner.lineno, inner.value


def leaves(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from leaves(element)
    elif isinstance(node, ast.MatchValue):
        yield from leaves(node.value)
    elif isinstance(node, ast.MatchOr):
        for pattern in node.patterns:
            yield from leaves(pattern)


def found_in(source: str) -> list[tuple[int, str]]:
    return [place for place in strings_that_decide(ast.parse(source)) if place[1] in NAMES]


@pytest.mark.parametrize(
    "source",
    [
        'if kind == "regression": pass',
        'if name not in ("probe", "ia3"): pass',
        '{"kmers": 1}',
        'match recipe:\n    case "peaks" | "regions": pass',
        'config.get("mlp")',
    ],
)
def test_a_decision_by_name_would_be_found(source):
    assert found_in(source)


@pytest.mark.parametrize("source", ['config["mlp"]', 'write("regression")', "kind == BINARY"])
def test_what_decides_nothing_is_let_be(source):
    assert not found_in(source)


def test_no_file_of_the_library_but_the_tables_decides_by_a_name():
    deciding = {
        (str(path.relative_to(LIBRARY)), name, line)
        for path in LIBRARY.rglob("*.py")
        for line, name in found_in(path.read_text())
    }
    wrong = {place for place in deciding if place[0] not in TABLES}
    assert {place for place in wrong if place[:2] not in OTHER_MEANINGS} == set()
    assert {place[:2] for place in wrong} >= OTHER_MEANINGS


def test_no_script_or_rule_decides_by_a_name():
    names = "|".join(sorted(NAMES))
    decision = re.compile(
        rf"(==|!=|\bin)\s*[(\[]?[\"']({names})[\"']|[\"']({names})[\"']\s*(==|!=|\b(not )?in\b|:)"
    )
    paths = [*ROOT.glob("scripts/*.py"), *ROOT.rglob("rules/**/*.smk"), ROOT / "Snakefile"]
    assert len(paths) > 50
    for path in paths:
        assert not decision.search(path.read_text()), path


def test_templates_of_the_report_decide_by_no_name():
    for path in LIBRARY.rglob("*.j2"):
        assert not re.search(rf"==\s*[\"']({'|'.join(sorted(NAMES))})[\"']", path.read_text()), path


def test_no_two_functions_of_rules_share_a_name():
    """Snakemake reads all into one module: the later function would stand for the first."""
    named = [
        (name, path.name)
        for path in sorted((ROOT / "rules").rglob("*.smk"))
        for name in re.findall(r"^def (\w+)\(", path.read_text(), re.MULTILINE)
    ]
    files = {name: [file for other, file in named if other == name] for name, _ in named}
    assert {name: own for name, own in files.items() if len(own) > 1} == {}
