"""The bench for GPUs as a container of PyTorch would run it; shapes and speeds mean nothing."""

import errno
import importlib.metadata
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

BENCH = Path(__file__).parents[1] / "bench" / "gpu.py"
# What is installed beside PyTorch where GPUs are lent; with it comes what these need themselves.
GIVEN = (
    *("torch", "numpy", "pandas", "scikit-learn", "safetensors", "numba", "tqdm", "transformers"),
    *("peft", "pyyaml", "pyarrow"),
)
ABSENT = {"isal", "pysam", "pyfaidx", "jsonschema", "altair", "optuna", "snakemake", "requests"}
PARTS = {"ceilings", "steps", "trainer", "embedding", "finetuning", "probing"}
PATIENCE_SECONDS = 1300
# Found by every interpreter that is started, the worker's and the trainer's too.
SITE = """
import sys
from importlib.machinery import PathFinder

class Container(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Container
"""


def close_over(names: Iterable[str]) -> set[str]:
    """Return distributions, by normalised name, with all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        wanted = map(Requirement, needs)
        waiting += [r.name for r in wanted if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture
def container(tmp_path) -> dict[str, str]:
    """Return an environment whose interpreters find no more than a container of PyTorch has."""
    allowed = close_over(GIVEN)
    blocked = {
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if not {name.lower().replace("_", "-") for name in names} & allowed
    }
    assert blocked >= ABSENT
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(blocked=blocked))
    return os.environ | {"PYTHONPATH": str(site)}


def run(output: Path, *options: str, **settings) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BENCH), "--output", str(output), "--device", "cpu", *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS, **settings
    )


def test_it_runs_whole_on_what_a_container_of_pytorch_has(tmp_path, container):
    output = tmp_path / "folder" / "gpu.json"
    done = run(output, "--tiny", "--minutes", "20", "--profile", env=container)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(output.read_text())
    assert found["finished"]
    assert found["left_out"] == []
    assert {row["part"] for row in found["rows"]} == PARTS
    assert all(row["value"] > 0 for row in found["rows"])
    # Every peer stood beside ours in the same run and gave the same.
    compared = [row for row in found["rows"] if row["agrees"] is not None]
    assert {row["part"] for row in compared} == {"steps", "embedding", "finetuning", "probing"}
    assert all(row["agrees"] for row in compared)
    assert len([row for row in compared if "EsmForMaskedLM" in row["side"]]) == 2
    assert len([row for row in compared if "EsmModel" in row["side"]]) == 3
    (trained,) = (row for row in found["rows"] if row["part"] == "trainer")
    # An untrained model of 4,105 tokens guesses about as well as chance.
    assert trained["facts"]["losses"][0] == pytest.approx(math.log(4105), abs=1.5)
    assert trained["facts"]["steps"] >= 4
    assert found["meaningless"] == "they are of a CPU and the shapes are tiny"
    assert "mean nothing" in done.stdout
    assert "EsmForMaskedLM" in done.stdout
    for suffix in ("profile.txt", "trace.json.gz"):
        assert (output.parent / f"gpu.tiny-v1.{suffix}").stat().st_size > 0


def test_parts_that_no_longer_fit_are_named_and_nothing_is_loaded(tmp_path):
    output = tmp_path / "gpu.json"
    done = run(output, "--minutes", "0.1", "--parts", "steps", "trainer")
    found = json.loads(output.read_text())
    assert [entry["job"] for entry in found["left_out"]] == [
        "steps of 500m-human-ref",
        "trainer of 500m-human-ref",
        "steps of v2-500m-multi-species",
        "steps of 2.5b-multi-species",
        "steps of v2-50m-multi-species",
    ]
    assert found["rows"] == []
    assert "machine" not in found
    assert done.returncode == 0
    assert "left out: steps of 500m-human-ref: takes about" in done.stdout


def test_a_run_that_is_told_to_end_keeps_what_it_has(tmp_path, container):
    output = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--tiny", "--minutes", "10", "--parts", "ceilings", "trainer"]
    process = subprocess.Popen(
        [sys.executable, str(BENCH), "--output", str(output), *options],
        stdout=subprocess.DEVNULL,
        env=container,
    )
    limit = time.monotonic() + PATIENCE_SECONDS
    while not (output.exists() and json.loads(output.read_text())["rows"]):
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 1
    found = json.loads(output.read_text())
    assert found["rows"]
    assert not found["finished"]
    assert found["machine"]["device"] == "CPU"
    assert found["machine"]["versions"]["torch"]


def test_without_a_device_it_says_so(tmp_path, container):
    command = [sys.executable, str(BENCH), "--output", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        command,
        env=container | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "there is no CUDA device" in done.stdout
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == []


def test_an_earlier_runs_file_keeps_its_numbers_under_another_name(tmp_path):
    output, options = tmp_path / "gpu.json", ("--minutes", "0.1", "--parts", "steps")
    for times in range(3):
        output.write_text(f"numbers of run {times}")
        done = run(output, *options)
        assert done.returncode == 0
        assert f"{output} is of an earlier run; it is now {tmp_path / f'gpu.{times + 1}.json'}" in (
            done.stderr
        )
    kept = [(tmp_path / f"gpu.{number}.json").read_text() for number in (1, 2, 3)]
    assert kept == ["numbers of run 0", "numbers of run 1", "numbers of run 2"]


@pytest.mark.parametrize("minutes", ["0", "-5", "nan", "inf", "soon"])
def test_minutes_that_are_none_are_refused(tmp_path, minutes):
    done = run(tmp_path / "gpu.json", "--minutes", minutes)
    assert done.returncode == 2
    assert f"--minutes: invalid positive value: '{minutes}'" in done.stderr


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "file").write_text("")
    for output, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "gpu.json", "File exists"),
        (Path("/proc/none/gpu.json"), "No such file or directory"),
    ):
        done = run(output, "--tiny")
        assert done.returncode == 2
        assert f"{output} cannot be written: {reason}" in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_disk_that_fills_stops_no_measurement_and_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCH.parent))
    from on_gpu.results import Results

    def is_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    results = Results(tmp_path / "gpu.json", {})
    with monkeypatch.context() as full:
        full.setattr(os, "replace", is_full)
        results.add({"value": 1})
    assert not results.is_written
    assert "gpu.json is not written (No space left on device)" in capsys.readouterr().err
    assert json.loads(results.path.read_text())["rows"] == []
    results.add({"value": 2})
    assert results.is_written
    assert json.loads(results.path.read_text())["rows"] == [{"value": 1}, {"value": 2}]
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]


@pytest.mark.parametrize("absent", ["torch", "numpy"])
def test_a_package_without_which_nothing_runs_is_named_once(tmp_path, absent):
    (tmp_path / "sitecustomize.py").write_text(SITE.format(blocked={absent}))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = run(tmp_path / "gpu.json", "--tiny", env=environment)
    assert f"Nothing was measured: {absent} is not installed for {sys.executable}" in done.stdout
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == []


def test_how_a_worker_ended_is_said_by_its_own_exit_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH.parent))
    from on_gpu import supervisor
    from on_gpu.jobs import Job
    from on_gpu.results import Results

    folder = tmp_path / "on_gpu"
    folder.mkdir()
    (folder / "worker.py").write_text(
        "import os, time\nos.close(1)\ntime.sleep(0.5)\nos._exit(7)\n"
    )
    monkeypatch.setattr(supervisor, "BENCH", tmp_path)
    results = Results(tmp_path / "gpu.json", {})
    watched = supervisor.Supervisor(results, ["--tiny"], "cpu", time.monotonic() + 60)
    watched.work_off([Job(part="ceilings", model="any", seconds=0)])
    (left,) = results.content["left_out"]
    assert left == {"job": "ceilings", "why": "ended its process (exit code 7)", "failed": True}
