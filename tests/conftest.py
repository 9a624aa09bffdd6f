"""A copy of the workflow to run, so that tests may edit it, and a run of it that tests share."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from forks import Forks, count_jobs
from hypothesis import HealthCheck, settings
from job_forks import JobForks

# Several tests run at a time, one core each. Numpy and torch read it once, when they are loaded.
os.environ["OMP_NUM_THREADS"] = "1"

# The same examples in every run on every machine; `pytest --hypothesis-profile wide` draws others,
# and many more.
COMMON = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("same", derandomize=True, max_examples=40, **COMMON)
settings.register_profile("wide", max_examples=1000, **COMMON)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """Keep what was imported, torch and all tests, out of every later garbage collection."""
    gc.freeze()


ROOT = Path(__file__).parents[1]
PARTS = (
    *("Snakefile", "config.yaml", "config", "workflow", "rules", "scripts", "envs", "resources"),
    *("profiles", "tests"),
)
TINY = ("--configfile", "tests/config.yaml", "tests/tiny.yaml")
RESULTS = "results/tiny"


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A copy of the repository with a results folder of its own."""

    folder: Path
    forks: Forks

    def command(self, *arguments: str, profile: str = "profiles/local") -> list[str]:
        """Return the command line of `snakemake` as the Makefile calls it."""
        snakemake = Path(sys.executable).parent / "snakemake"
        return [str(snakemake), "--profile", profile, *arguments]

    def run(self, *arguments: str, profile: str = "profiles/local") -> subprocess.CompletedProcess:
        """Run `snakemake` and return its exit code and output, stdout and stderr in one."""
        command = self.command(*arguments, profile=profile)
        return self.forks.run(command[1:], cwd=self.folder, environment=os.environ)

    def run_afresh(self, *arguments: str) -> subprocess.CompletedProcess:
        """Return what `run` does by an interpreter of its own."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def plan(self, *arguments: str, profile: str = "profiles/local") -> dict[str, int]:
        """Return {rule: jobs} of a dry run."""
        done = self.run("--dry-run", *arguments, profile=profile)
        assert done.returncode == 0, done.stdout
        return count_jobs(done.stdout)


@dataclass(frozen=True, kw_only=True)
class TinyRun:
    """A finished run of the tiny configuration, and its results as they were when it ended.

    The folder of the workflow is for the one file of tests that changes it and runs on. Others give
    a copy of their own what it holds of the results, for jobs that theirs has not to do again.
    """

    workflow: Workflow
    results: Path

    def give(self, workflow: Workflow, *parts: str) -> None:
        """Copy folders of the results, with the times of their files, into another workflow."""
        for part in parts:
            shutil.copytree(self.results / part, workflow.folder / RESULTS / part)


def share_caches(folder: Path) -> None:
    """Let a copy use the compiled code of the repository, and add to it.

    Both caches, Python's and numba's, are checked by size and time of the source, which a copy
    keeps: of the loops that numba compiles, half a minute of them, each is compiled once.
    """
    for package in {path.parent for path in (folder / "scripts" / "dnalm").rglob("*.py")}:
        shared = ROOT / package.relative_to(folder) / "__pycache__"
        shared.mkdir(exist_ok=True)
        (package / "__pycache__").symlink_to(shared)


@pytest.fixture(scope="session")
def job_forks(tmp_path_factory) -> Iterator[JobForks]:
    """The process, with torch imported, of which scripts are forks."""
    jobs = JobForks(tmp_path_factory.mktemp("jobs"))
    yield jobs
    jobs.close()


@pytest.fixture(scope="session")
def forks(tmp_path_factory, job_forks) -> Iterator[Forks]:
    """The process of which the runs of all workflows are forks."""
    forks = Forks(tmp_path_factory.mktemp("forks"), job_forks)
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def make_workflow(tmp_path_factory, forks) -> Callable[[], Workflow]:
    """Return a function that copies the repository into a new folder."""

    def copy() -> Workflow:
        folder = tmp_path_factory.mktemp("workflow")
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        share_caches(folder)
        return Workflow(folder=folder, forks=forks)

    return copy


@pytest.fixture(scope="session")
def tiny_run(make_workflow, forks, tmp_path_factory) -> TinyRun:
    """The one run of the tiny configuration to its report, of whichever process comes first."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    # A link: what a run remembers of its inputs holds only in the folder where it was made.
    link, results = shared / "tiny_run", shared / "tiny_results"
    with FileLock(shared / "tiny_run.lock"):
        if not link.exists():
            made = make_workflow()
            done = made.run(*TINY)
            assert done.returncode == 0, done.stdout
            shutil.copytree(made.folder / RESULTS, results)
            link.symlink_to(made.folder)
    workflow = Workflow(folder=link.resolve(), forks=forks)
    return TinyRun(workflow=workflow, results=results)


@pytest.fixture(scope="session")
def workflow(make_workflow) -> Workflow:
    """A copy for dry runs, in which nothing has been made yet."""
    return make_workflow()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that DNALM_DATA names; without it the test is skipped."""
    folder = os.environ.get("DNALM_DATA")
    if not folder:
        pytest.skip("needs real data: set DNALM_DATA to their folder")
    return Path(folder).resolve()
