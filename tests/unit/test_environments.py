"""The conda files: the versions of the constraints, and all that the scripts import."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PINS = {
    line.split("==")[0].lower(): line.split(";")[0].split("==")[1]
    for name in ("constraints.txt", "constraints-dev.txt")
    for line in (ROOT / name).read_text().splitlines()
}


def test_every_constraint_is_an_exact_public_version():
    for version in PINS.values():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), version


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_conda_file_carries_the_versions_of_the_constraints(path):
    (pip,) = (
        d["pip"] for d in yaml.safe_load(path.read_text())["dependencies"] if isinstance(d, dict)
    )
    for pin in pip:
        name, version = pin.split("==")
        assert PINS[name.lower()] == version


# What opens the models of `embedder:`; the rules that read these choose their environment by model.
STOCK = ROOT / "scripts/dnalm/model/embedders/stock.py"


def list_imports(path: Path, left_out: set[Path]) -> set[str]:
    """Return the modules outside the standard library that a file imports, through dnalm too."""
    found, waiting, seen = set(), [path], set(left_out)
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                module = ROOT / "scripts" / name.replace(".", "/")
                owns = (module.with_suffix(".py"), module / "__init__.py")
                waiting += [own for own in owns if own.exists() and own not in seen]
            found |= {name.split(".")[0] for name in names}
    return found - set(sys.stdlib_module_names) - {"dnalm"}


def list_script_jobs() -> list[tuple[str, str, str]]:
    """Return rule, conda file and script of every rule that has both."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    jobs = []
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
        parts = [re.search(rf'"\.\./{folder}/([^"]+)"', rule) for folder in ("envs", "scripts")]
        if all(parts):
            jobs.append((rule.split(":")[0], parts[0][1], parts[1][1]))
    own = [
        (rule, "embedders.yaml", f"{rule}.py")
        for rule in ("describe_embedder", "embed_with_embedder")
    ]
    return [*jobs, *own, ("pretrain", "torch.yaml", "pretrain.py")]


list_distributions = cache(packages_distributions)


@pytest.mark.parametrize(("rule", "environment", "script"), list_script_jobs())
def test_a_conda_file_has_what_its_scripts_import(rule, environment, script):
    pins = yaml.safe_load((ROOT / "envs" / environment).read_text())["dependencies"][-1]["pip"]
    given = {pin.split("==")[0].lower() for pin in pins}
    left_out = set() if environment == "embedders.yaml" else {STOCK}
    for module in list_imports(ROOT / "scripts" / script, left_out):
        assert given & {name.lower() for name in list_distributions()[module]}, module
