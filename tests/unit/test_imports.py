"""Imports run one way, from the report down to the ground, and nothing heavy loads unasked."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "scripts" / "dnalm"
# Each room may import itself, the ground (modules beside the rooms, and jobs) and what is named.
BELOW = {
    "ground": {"jobs"},
    "jobs": set(),
    "download": set(),
    "genome": {"download"},
    "corpus": {"genome", "download"},
    "model": {"genome", "download"},
    "training": {"model", "corpus", "genome", "download"},
    "benchmark": {"model", "corpus", "genome", "download"},
    "report": {"benchmark", "training", "model", "corpus", "genome", "download"},
    "interface": {"benchmark", "model", "genome"},
    "configuration": {"genome", "download"},
    "huggingface": {"model"},
}
# What configuration reads of models and the benchmark: tables and sizes that load nothing.
TABLES = {"dnalm.benchmark.tasks.kinds", "dnalm.benchmark.tasks.recipes", "dnalm.model.config"}
TABLES |= {"dnalm.benchmark.tasks.schemes"}
EXTRAS = {
    "altair", "jinja2", "optuna", "snakemake", "tensorboard", "vl_convert", "pygments",
    "transformers", "peft", "accelerate",
}  # fmt: skip
NEED_EXTRAS = ("report/figures", "report/pages", "benchmark/probing/mlp", "huggingface.py")


def room_of(module: str) -> str:
    """Return the room of a module of the library, `ground` for those beside the rooms."""
    parts = module.split(".")
    if parts[1:] in (["interface"], ["huggingface"]):
        return parts[1]
    return parts[1] if len(parts) > 1 and (LIBRARY / parts[1]).is_dir() else "ground"


def list_imports(path: Path) -> set[str]:
    """Return what a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def test_every_room_imports_only_what_lies_below_it():
    upward = []
    for name, path in MODULES.items():
        room = room_of(name)
        for other in list_imports(path) & MODULES.keys() - {"dnalm"}:
            known = {room, "ground", "jobs", *BELOW[room]}
            table = room == "configuration" and any(other.startswith(table) for table in TABLES)
            package = other in ("dnalm.benchmark", "dnalm.benchmark.tasks", "dnalm.model")
            if room_of(other) not in known and not table and not package:
                upward.append(f"{name} imports {other}")
    assert not upward


def test_one_module_alone_imports_transformers_and_no_other_imports_that():
    users = {name for name, path in MODULES.items() if "transformers" in list_imports(path)}
    assert users == {"dnalm.huggingface"}
    assert not [n for n, path in MODULES.items() if "dnalm.huggingface" in list_imports(path)]
    assert not [n for n, path in MODULES.items() if "peft" in list_imports(path)]


def test_no_module_imports_snakemake():
    assert not [name for name, path in MODULES.items() if "snakemake" in list_imports(path)]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_no_room_holds_more_than_twenty_things(folder):
    things = [path for path in folder.iterdir() if path.name not in ("__pycache__", "__init__.py")]
    assert len(things) <= (30 if folder.name == "training" else 20)


def run_python(code: str) -> str:
    """Return what `code` prints in a fresh interpreter that finds the library."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_is_imported_without_any_optional_part():
    plain = [
        name
        for name, path in MODULES.items()
        if not path.relative_to(LIBRARY).as_posix().startswith(NEED_EXTRAS)
    ]
    code = (
        "import importlib, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {EXTRAS!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {plain!r}: importlib.import_module(name)\n"
    )
    run_python(code)


def test_the_configuration_is_checked_without_torch_or_pandas():
    rules = LIBRARY.parents[1] / "rules"
    text = "\n".join(path.read_text() for path in sorted(rules.rglob("*.smk")))
    lines = [line for line in text.splitlines() if line.startswith("from dnalm")]
    assert lines
    code = "\n".join(["import sys", *lines, "print(*sys.modules)"])
    loaded = set(run_python(code).split())
    assert not {"torch", "sklearn", "altair", "scipy.stats"} & loaded
