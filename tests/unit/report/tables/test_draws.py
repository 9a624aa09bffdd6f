"""Bootstrap draws of all results of a task, however many of them fit into memory together."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.benchmark.scoring.results import prediction_rows
from dnalm.errors import InputError
from dnalm.report.tables import draws
from dnalm.report.tables.draws import Statistics, draw_results
from dnalm.report.tables.records import Record

ROWS, LABELS, FOLDS = 60, 5, 2
STATISTICS = Statistics(
    bootstrap=BootstrapConfig(draws=50, seed=1, level=0.95),
    correction="none",
    leak="near",
    equal=0.02,
)


@pytest.fixture
def results(tmp_path):
    generator = np.random.default_rng(3)
    test = pd.DataFrame({"id": [f"row{i:02}" for i in range(ROWS)]})
    test["label"] = list(generator.integers(0, 2, (ROWS, LABELS)))
    made = []
    for number in range(4):
        own = [
            prediction_rows(test, fold, (values > 0.5).astype(np.int64), values)
            for fold, values in enumerate(generator.random((FOLDS, ROWS, LABELS)))
        ]
        path = tmp_path / f"{number}.parquet"
        pd.concat(own).to_parquet(path, index=False)
        made.append(
            Record(
                method="probe",
                model=f"model{number}",
                task="own.marks",
                scores=pd.DataFrame(),
                summary={"kind": "multilabel"},
                predictions=path,
                history=None,
            )
        )
    return made


@pytest.fixture
def audits(tmp_path):
    rows = pd.DataFrame({"id": [f"row{i:02}" for i in range(ROWS)], "relation": "none"})
    rows.loc[:9, "relation"] = "identical"
    rows.to_parquet(tmp_path / "audit.parquet")
    return {"own.marks": str(tmp_path / "audit.parquet")}


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


@pytest.mark.parametrize("limit", [1, 1 << 30])
def test_results_on_other_rows_are_refused_in_one_group_or_several(
    results, audits, monkeypatch, limit
):
    table = pd.read_parquet(results[2].predictions)
    table[table["id"] != "row07"].to_parquet(results[2].predictions)
    monkeypatch.setattr(draws, "MAX_BYTES", limit)
    with pytest.raises(InputError, match=f"different test rows \\({ROWS} and {ROWS - 1}\\)"):
        draw_results(results, audits, STATISTICS)
