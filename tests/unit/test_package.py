"""The library as an installed package, and the lists of files and versions that go with it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
# Scripts that a shell starts, on one node or many.
LAUNCHED = ["check_training.py", "pretrain.py"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_pins(name: str) -> dict[str, str]:
    lines = (line.split(";")[0] for line in (ROOT / name).read_text().splitlines())
    return {canonicalize_name(name): version for name, version in (li.split("==") for li in lines)}


def test_the_list_of_the_librarys_files_is_complete():
    held = (SCRIPTS / "library.txt").read_text().split()
    suffixes = {".py", ".j2"}
    found = [path for path in (SCRIPTS / "dnalm").rglob("*") if path.suffix in suffixes]
    names = sorted(path.relative_to(SCRIPTS).as_posix() for path in found)
    assert held == [*LAUNCHED, *names]


def test_an_installed_library_holds_every_module_and_template(tmp_path):
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    shutil.copytree(SCRIPTS, source / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(tmp_path / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = {
        path.relative_to(tmp_path / "site").as_posix()
        for path in (tmp_path / "site" / "dnalm").rglob("*")
        if path.suffix in (".py", ".j2")
    }
    assert installed == set((SCRIPTS / "library.txt").read_text().split()) - set(LAUNCHED)
    assert (tmp_path / "site/dnalm/py.typed").exists()  # its annotations count for others' checkers
    code = "import dnalm, sys; print(dnalm.__version__, dnalm.tokenize(['ACGTAC'])[0].size)"
    environment = {"PYTHONPATH": str(tmp_path / "site")}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["0.2.0", "2"]


def test_every_bound_of_the_package_allows_the_version_that_is_tested():
    # What the workflow itself never imports is pinned with the tests that use it.
    pins = read_pins("constraints-dev.txt") | read_pins("constraints.txt")
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in [*PROJECT["dependencies"], *extras]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name == "dnalm" or requirement.specifier.contains(pins[name]), line
    (torch,) = (line for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert "==" not in torch
    assert "<" in torch


def test_no_pin_stands_in_both_lists():
    assert not read_pins("constraints.txt").keys() & read_pins("constraints-dev.txt").keys()
