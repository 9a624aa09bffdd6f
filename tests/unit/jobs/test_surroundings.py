"""Where the workflow lies and what its jobs would import is looked at before any of them."""

import shutil
from pathlib import Path

import pytest

from dnalm.jobs.surroundings import find_errors

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def scripts(tmp_path):
    """A small library where the workflow has its own."""
    return write_library(tmp_path / "workflow" / "scripts")


def write_library(folder: Path, *, code: str = "") -> Path:
    (folder / "dnalm" / "jobs").mkdir(parents=True)
    for name in ("__init__.py", "jobs/__init__.py"):
        (folder / "dnalm" / name).write_text(code)
    return folder


def test_a_checkout_alone_is_right():
    assert find_errors(SCRIPTS, []) == []


def test_another_version_that_jobs_would_import_is_named_with_what_to_do(scripts, tmp_path):
    other = write_library(tmp_path / "other", code="VERSION = 1\n")
    (error,) = find_errors(scripts, [str(tmp_path / "nothing"), str(other)])
    assert error.startswith(f"{other}/dnalm holds another version of this library")
    assert "out of PYTHONPATH" in error
    (other / "dnalm/__init__.py").unlink()
    (other / "dnalm/jobs/__init__.py").unlink()
    assert find_errors(scripts, [str(other)]) == [], "a folder without code is no library"


def test_a_library_that_lacks_a_module_is_another_version(scripts, tmp_path):
    other = write_library(tmp_path / "other")
    (other / "dnalm/jobs/__init__.py").unlink()
    (error,) = find_errors(scripts, [str(other)])
    assert "another version" in error


def test_the_same_version_may_be_installed(scripts, tmp_path):
    shutil.copytree(scripts, tmp_path / "site")
    assert find_errors(scripts, [str(tmp_path / "site"), str(scripts)]) == []


@pytest.mark.parametrize(
    ("name", "filled"), [("run{1}", "{"), ("a}", "}"), ("<results>", "<results>")]
)
def test_a_folder_in_whose_name_snakemake_would_fill_in_something_is_refused(
    tmp_path, name, filled
):
    (error,) = find_errors(write_library(tmp_path / name / "scripts"), [])
    assert error.startswith(f"The workflow lies in {tmp_path / name}: ")
    assert f"fill in '{filled}'" in error


@pytest.mark.parametrize("name", ["with space", "quote's", 'double"', "ü#%$x;y\\z*", "a<b", "-c"])
def test_other_odd_names_of_folders_are_not(tmp_path, name):
    assert find_errors(write_library(tmp_path / name / "scripts"), []) == []
