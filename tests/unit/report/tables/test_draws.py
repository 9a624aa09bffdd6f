"""Bootstrap draws of all results of a task, however many of them fit into memory together."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dnalm
from dnalm.benchmark.scoring.bootstrap import HELD_OUT, BootstrapConfig, bootstrap, subtract
from dnalm.benchmark.scoring.results import prediction_rows
from dnalm.errors import InputError
from dnalm.report.tables import draws
from dnalm.report.tables.comparisons import lift_table
from dnalm.report.tables.draws import Statistics, draw_results
from dnalm.report.tables.records import Identities, Record

ROWS, LABELS, FOLDS = 60, 5, 2
STATISTICS = Statistics(
    bootstrap=BootstrapConfig(draws=50, seed=1, level=0.95),
    correction="none",
    leak="near",
    equal=0.02,
)


def write_results(folder, count, rows, labels, folds):
    """Write predictions of a task of several labels, of `count` models, and return the records."""
    generator = np.random.default_rng(3)
    test = pd.DataFrame({"id": [f"row{i:05}" for i in range(rows)]})
    test["label"] = list(generator.integers(0, 2, (rows, labels)))
    for number in range(count):
        own = [
            prediction_rows(test, fold, (values > 0.5).astype(np.int64), values)
            for fold, values in enumerate(generator.random((folds, rows, labels)))
        ]
        pd.concat(own).to_parquet(folder / f"{number}.parquet", index=False)
    return list_results(folder, count)


def list_results(folder, count):
    return [
        Record(
            method="probe",
            model=f"model{number}",
            task="own.marks",
            scores=pd.DataFrame(),
            summary={"kind": "multilabel"},
            predictions=folder / f"{number}.parquet",
            history=None,
        )
        for number in range(count)
    ]


def make_lift(results, locations):
    """Return the table of trained models, the even ones, beside the untrained after each."""
    models = [result.model for result in results]
    of = dict(zip(models[1::2], models[::2], strict=True))
    identities = Identities(
        models={model: {"untrained_of": of.get(model)} for model in models},
        tasks={"own.marks": {}},
        baselines=[],
        genomes=[],
        corpora=["toy"],
        panels=[],
        methods={},
        species={},
        groups={},
    )
    corpora = dict.fromkeys(models, "toy")
    named = {("toy", "own.marks"): str(locations)}
    return lift_table(results, identities, named, corpora, STATISTICS.bootstrap)


def write_locations(path, rows):
    """Say of a third of the rows that it lies on training contigs, of another on held-out ones."""
    place = np.arange(rows) % 3
    found = pd.DataFrame({"id": [f"row{i:05}" for i in range(rows)]})
    found["genome"] = np.where(place < 2, "invented", None)
    found["pretraining_split"] = np.array(["train", "test", None], dtype=object)[place]
    found["overlaps_train"] = place == 0
    found.to_parquet(path)
    return path


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path, 4, ROWS, LABELS, FOLDS)


def write_audit(path, rows):
    """Say of the first ten rows that a training row is identical."""
    audited = pd.DataFrame({"id": [f"row{i:05}" for i in range(rows)], "relation": "none"})
    audited.loc[:9, "relation"] = "identical"
    audited.to_parquet(path)
    return path


@pytest.fixture
def audits(tmp_path):
    return {"own.marks": str(write_audit(tmp_path / "audit.parquet", ROWS))}


def test_results_one_at_a_time_are_drawn_as_all_together(results, audits, monkeypatch):
    together = draw_results(results, audits, STATISTICS)
    opened = []
    read = draws.open_predictions
    monkeypatch.setattr(draws, "open_predictions", lambda *a: opened.append(a) or read(*a))
    one = FOLDS * ROWS * (3 * LABELS + 2) * draws.BYTES
    sizes = []
    resample = draws.bootstrap_parts
    monkeypatch.setattr(
        draws, "bootstrap_parts", lambda m, *a: sizes.append(len(m)) or resample(m, *a)
    )
    for limit, expected in ((1, [1, 1, 1, 1]), (3 * one, [3, 1]), (4 * one, [4])):
        sizes.clear()
        monkeypatch.setattr(draws, "MAX_BYTES", limit)
        found = draw_results(results, audits, STATISTICS)
        assert sizes == expected
        assert list(found) == list(together)
        for key, own in found.items():
            assert own.whole.score == together[key].whole.score
            np.testing.assert_array_equal(own.whole.drawn, together[key].whole.drawn)
            np.testing.assert_array_equal(own.clean.drawn, together[key].clean.drawn)
            assert own.clean.rows == ROWS - 10
    assert len(opened) == 12


def test_lift_one_result_at_a_time_is_that_of_all_together(results, tmp_path, monkeypatch):
    located = write_locations(tmp_path / "locations.parquet", ROWS)
    together = make_lift(results, located)
    assert together["region"].nunique() == 5
    assert set(together["model"]) == {"model0", "model2"}
    assert together["lift"].abs().min() > 0
    methods = [draws.open_predictions(result.predictions, result.kind) for result in results[:2]]
    own = np.arange(ROWS) % 3 == 1
    two = bootstrap([method.select(own) for method in methods], STATISTICS.bootstrap)
    expected = subtract(*two, 0.95)
    held_out = together[together["region"] == HELD_OUT].iloc[0]
    found = held_out[["lift", "low", "high", "rows"]].tolist()
    assert found == [expected.difference, expected.low, expected.high, ROWS // 3]
    sizes = []
    resample = draws.bootstrap_parts
    monkeypatch.setattr(
        draws, "bootstrap_parts", lambda m, *a: sizes.append(len(m)) or resample(m, *a)
    )
    monkeypatch.setattr(draws, "MAX_BYTES", 1)
    pd.testing.assert_frame_equal(make_lift(results, located), together)
    assert sizes == [1, 1, 1, 1]


MEASURED = """
import sys
from pathlib import Path
import test_draws as given
from dnalm.report.tables import draws

folder, count, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
draws.MAX_BYTES = 1 << 20
results = given.list_results(folder, count)
if what == "lift":
    assert len(given.make_lift(results, folder / "locations.parquet")) == 5 * count / 2
else:
    audits = {"own.marks": str(folder / "audit.parquet")}
    assert len(draws.draw_results(results, audits, given.STATISTICS)) == count
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize("what", ["lift", "draws"])
def test_memory_does_not_grow_with_the_number_of_results(tmp_path, what):
    rows, labels, peaks = 6000, 100, {}
    write_results(tmp_path, 20, rows, labels, 1)
    write_locations(tmp_path / "locations.parquet", rows)
    write_audit(tmp_path / "audit.parquet", rows)
    roots = [Path(dnalm.__file__).parents[1], Path(__file__).parent]
    # Threads that read at a time, and pools that keep what was freed, would blur the peak.
    place = {"PYTHONPATH": os.pathsep.join(map(str, roots)), "OMP_NUM_THREADS": "1"}
    place |= {"ARROW_IO_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    for count in (6, 20):
        command = [sys.executable, "-c", MEASURED, str(tmp_path), str(count), what]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | place
        )
        assert done.returncode == 0, done.stderr
        peaks[count] = 1024 * int(done.stdout.split()[-1])
    of_a_result = (peaks[20] - peaks[6]) / 14
    print(f"{what}: {of_a_result / (rows * labels):.1f} bytes a number")
    assert of_a_result < 4 * rows * labels


@pytest.mark.parametrize("limit", [1, 1 << 30])
def test_results_on_other_rows_are_refused_in_one_group_or_several(
    results, audits, monkeypatch, limit
):
    table = pd.read_parquet(results[2].predictions)
    table[table["id"] != "row00007"].to_parquet(results[2].predictions)
    monkeypatch.setattr(draws, "MAX_BYTES", limit)
    with pytest.raises(InputError, match=f"different test rows \\({ROWS} and {ROWS - 1}\\)"):
        draw_results(results, audits, STATISTICS)
