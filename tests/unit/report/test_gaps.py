"""An unfinished run: what of it is shown, what is named as missing, what is kept silent about."""

import os

import pandas as pd
import pytest

from dnalm.files import write_json
from dnalm.report.finished import Expected, Missing, find_finished
from dnalm.report.gaps import ALL_METHODS, Gaps, StoppedJob, mark_gaps
from dnalm.report.tables.records import Identities

TASKS = ("set.a", "set.b")
ROLES = ("scores", "summary", "predictions")


class Folder:
    """A results folder of two tasks, a model and a baseline; files hold what is read of them."""

    def __init__(self, path):
        self.path = path
        for task in TASKS:
            self.write(f"tasks/{task}.json", {"name": task})
            self.write(f"tasks/{task}.parquet", {})
            self.write(f"audits/{task}.json", {"task": task})
            self.write(f"audits/{task}.rows.parquet", {})
        self.write("genomes/g.json", {"name": "g"})
        self.write("corpora/c.json", {"name": "c", "genomes": [{"name": "g"}]})
        self.write("corpora/c.npy", {})
        self.write("models/m.json", {"model": "m", "corpus": "c"})
        self.write("models/m.history", {})
        self.write("models/m.weights", {})
        for one in self.expected:
            for file in one.files.values():
                self.write(file, {})

    def write(self, name, content):
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_json(path, content)

    @property
    def expected(self):
        return [
            Expected(
                method=method,
                model=model,
                task=task,
                files={role: str(self.path / f"{model}/{task}.{role}") for role in ROLES},
                made_from=[
                    str(self.path / f"tasks/{task}.parquet"),
                    *([str(self.path / "models/m.weights")] if model == "m" else []),
                ],
            )
            for method, model in (("probe", "m"), ("baseline", "kmers"))
            for task in TASKS
        ]

    def find(self):
        named = {
            "audit_rows": {t: str(self.path / f"audits/{t}.rows.parquet") for t in TASKS},
            "kmer_counts": {"c": str(self.path / "corpora/c.npy")},
            "panel_samples": {},
            "histories": {"m": str(self.path / "models/m.history")},
            "locations": {"c": {t: str(self.path / f"locations/{t}") for t in TASKS}},
        }
        described = {
            "tasks": [str(self.path / f"tasks/{t}.json") for t in TASKS],
            "audits": [str(self.path / f"audits/{t}.json") for t in TASKS],
            "genomes": [str(self.path / "genomes/g.json")],
            "corpora": [str(self.path / "corpora/c.json")],
            "panels": [],
            "runs": [str(self.path / "models/m.json")],
            "embedders": [],
        }
        names = {"published_as": None, "untrained_of": None}
        identities = Identities(
            models={"m": names},
            tasks={task: {} for task in TASKS},
            baselines=["kmers"],
            genomes=["g"],
            corpora=["c"],
            panels=[],
            methods={},
            species={},
            groups={},
        )
        return find_finished(self.expected, described, named, identities)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def reasons(finished):
    return {(one.model, one.task): one.reason for one in finished.missing}


def test_of_a_finished_run_nothing_is_missing(folder):
    found = folder.find()
    assert reasons(found) == {}
    assert len(found.results) == 4
    assert list(found.identities.tasks) == [*TASKS]
    assert list(found.identities.models) == ["m"]
    assert len(found.described["corpora"]) == 1
    assert found.named["locations"] == {"c": {}}


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("m/set.a.scores", {("m", "set.a"): "not made"}),
        ("kmers/set.b.predictions", {("kmers", "set.b"): "not made"}),
        ("models/m.json", {("m", task): "its model is missing" for task in TASKS}),
        ("models/m.history", {("m", task): "its model is missing" for task in TASKS}),
        ("genomes/g.json", {("m", task): "its model is missing" for task in TASKS}),
        ("corpora/c.npy", {("m", task): "its model is missing" for task in TASKS}),
        ("tasks/set.a.json", {(one, "set.a"): "its task is missing" for one in ("m", "kmers")}),
        (
            "audits/set.b.rows.parquet",
            {(m, "set.b"): "made, but the audit of its task is missing" for m in ("m", "kmers")},
        ),
    ],
)
def test_what_is_missing_takes_along_what_cannot_be_shown_without_it(folder, gone, missing):
    (folder.path / gone).unlink()
    found = folder.find()
    assert reasons(found) == missing
    assert len(found.results) == 4 - len(missing)


@pytest.mark.parametrize(
    ("newer", "outdated"),
    [("tasks/set.a.parquet", {("m", "set.a"), ("kmers", "set.a")}), ("models/m.weights", None)],
)
def test_a_result_that_is_older_than_what_it_is_made_from_does_not_count(folder, newer, outdated):
    path = folder.path / newer
    os.utime(path, (path.stat().st_atime + 60, path.stat().st_mtime + 60))
    found = reasons(folder.find())
    assert set(found) == (outdated or {("m", task) for task in TASKS})
    assert set(found.values()) == {f"older than {path.name}, so it has to be made again"}


def gaps_of(*missing, expected=None):
    names = ("method", "model", "task", "reason")
    return Gaps(
        expected=expected or {"set.a": 2, "set.b": 2},
        missing=[Missing(**dict(zip(names, one, strict=True))) for one in missing],
        jobs=[],
        files=[],
    )


def test_a_task_that_lacks_everything_is_named_once():
    gaps = gaps_of(
        ("probe", "m", "set.a", "its task is missing"),
        ("baseline", "majority", "set.a", "its task is missing"),
        ("probe", "m", "set.b", "not made"),
    )
    assert (gaps.asked, gaps.finished) == (4, 1)
    assert gaps.grid.rows == [
        [ALL_METHODS, "set.a", "its task is missing"],
        ["m · probe", "set.b", "not made"],
    ]


def test_a_part_of_a_run_is_not_taken_for_the_whole():
    tables = {
        "headline": pd.DataFrame({"set": ["set"], "score": [0.5]}),
        "reproduction": pd.DataFrame({"task": ["set", "set.a"], "reading": ["all tasks", ""]}),
        "choices": pd.DataFrame({"task": [*TASKS], "cautions": ["an edge", ""]}),
        "scores": pd.DataFrame({"score": [0.5]}),
    }
    marked = mark_gaps(tables, gaps_of(("probe", "m", "set.a", "not made")))
    assert marked["headline"].empty
    assert marked["reproduction"]["task"].tolist() == ["set.a"]
    said = "1 of the 2 results of this task are missing; an edge"
    assert marked["choices"]["cautions"].tolist() == [said, ""]
    assert marked["scores"] is tables["scores"]
    whole = mark_gaps(tables, gaps_of())
    assert len(whole["headline"]) == 1


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"", ""),
        (b"one\nlast \n\n", "last"),
        (b"x" * 20_000 + b"\nValueError: \xff wrong\n", "ValueError: � wrong"),
        (b"y" * 20_000, "y" * 400 + " …"),
    ],
)
def test_the_last_line_of_a_log_is_read_whatever_it_holds(tmp_path, written, line):
    log = tmp_path / "job.log"
    log.write_bytes(written)
    assert StoppedJob(rule="r", wildcards={}, log=str(log)).last_line == line
