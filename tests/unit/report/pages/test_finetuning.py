"""Fine-tuning beside probing on the page: pairs, their text, curves and cropped sequences."""

import re

import pandas as pd
import pytest

from dnalm.methods import BY_NAME
from dnalm.report.figures.finetuning import MARGIN, probing_figure, tuning_figure
from dnalm.report.method_names import BASELINE_SHAPE, GLYPHS, OTHER_SHAPE, add_labels, plan
from dnalm.report.pages.finetuning import (
    COLUMNS,
    crop_note,
    pair_methods,
    probing_grid,
    probing_sentence,
)

TASKS = ["simulated.enhancers", "simulated.promoters", "simulated.shuffled"]


@pytest.fixture(scope="module")
def labelled(shared_tables):
    names = ("summary", "comparisons", "finetuning_curves")
    return {name: add_labels(shared_tables[name]) for name in names}


def pair(tables):
    return pair_methods(tables["summary"], tables["comparisons"], 0.95)


def series_of(tables):
    return plan(tables["summary"], {"small.untrained": "small"})


def test_a_fine_tuned_model_stands_beside_its_own_probe_on_every_task(labelled):
    pairs = pair(labelled).set_index("task")
    assert sorted(pairs.index) == TASKS
    assert set(pairs["series"]) == {"small · IA3 fine-tuning"}
    assert set(pairs["probe_series"]) == {"small · probe"}  # that of the untrained encoder is none
    scores = labelled["summary"].set_index(["method", "model", "task"])
    for task, row in pairs.iterrows():
        own, probe = (scores.loc[(method, "small", task)] for method in ("ia3", "probe"))
        assert row["difference"] == pytest.approx(own["score_mean"] - probe["score_mean"])
        assert (row["score"], row["low"]) == (own["score_mean"], own["low"])
        assert (row["probe_score"], row["probe_high"]) == (probe["score_mean"], probe["high"])
        assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_the_order_of_a_comparison_decides_nothing(labelled):
    comparisons = labelled["comparisons"]
    turned = comparisons.rename(
        columns={
            "method": "reference_method",
            "reference_method": "method",
            "model": "reference",
            "reference": "model",
            "score": "reference_score",
            "reference_score": "score",
        }
    ).assign(
        difference=-comparisons["difference"],
        low=-comparisons["high"],
        high=-comparisons["low"],
    )
    again = pair_methods(labelled["summary"], turned, 0.95)
    pd.testing.assert_frame_equal(again, pair(labelled))


def test_the_logistic_regression_is_the_probe_where_there_are_two(new_run):
    new_run.add_corpus()
    new_run.add_task("a.x", {"train": 900, "test": 400})
    new_run.add_model("small")
    for number, method in enumerate(("mlp", "ia3", "probe")):
        new_run.add_result(method, "small", "a.x", [0.8] * 3, seed=number)
    tables = new_run.tables()
    labelled = {name: add_labels(tables[name]) for name in ("summary", "comparisons")}
    assert pair(labelled)["probe_series"].tolist() == ["small · probe"]
    alone = labelled["comparisons"]
    alone = alone[~alone[["method", "reference_method"]].eq("probe").any(axis=1)]
    assert pair(labelled | {"comparisons": alone})["probe_series"].tolist() == ["small · MLP probe"]


def test_points_lie_above_the_diagonal_where_fine_tuning_scores_higher(labelled):
    pairs = pair(labelled)
    chart = probing_figure(pairs, series_of(labelled), "")
    diagonal, across, along, points = chart["layer"]
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["line", "rule", "rule", "point"]
    ends = chart["datasets"][diagonal["data"]["name"]]
    assert all(end["score"] == end["probe_score"] for end in ends)
    data = pd.DataFrame(chart["datasets"][points["data"]["name"]])
    assert sorted(data["task"]) == TASKS
    domains = [points["encoding"][axis]["scale"]["domain"] for axis in "xy"]
    assert domains[0] == domains[1]
    least = pairs[["low", "probe_low"]].min().min()
    assert domains[0][0] == pytest.approx(least - MARGIN)
    assert (across["encoding"]["x2"]["field"], along["encoding"]["y2"]["field"]) == (
        *("probe_high", "high"),
    )


def test_the_table_says_what_the_figure_shows(labelled):
    pairs = pair(labelled)
    grid = probing_grid(pairs)
    assert [row[0] for row in grid.rows] == pairs["task"].tolist()
    assert all(re.fullmatch(r"[+−-]0\.\d{3}", row[6]) for row in grid.rows)
    assert probing_grid(pairs.iloc[:0]).rows == []
    one = {**dict.fromkeys(COLUMNS, 0.5), "difference": 0.1, "difference_low": 0.05}
    other = {**one, "difference": -0.1, "difference_low": -0.2, "difference_high": 0.1}
    assert probing_sentence(pd.DataFrame([one, other])) == (
        "Of 2 pairs of a fine-tuned and a probed model on one task, fine-tuning scores higher in "
        "1, in 1 of them with an interval above 0; probing in 1, in 0 with one below."
    )


def test_curves_hold_the_mean_over_the_splits_of_every_evaluation(labelled):
    curves = labelled["finetuning_curves"]
    own = curves[curves["task"] == "simulated.promoters"]
    assert own["step"].tolist() == [10, 20, 30]
    assert own["train_loss"].tolist() == pytest.approx([0.7, 0.6, 0.5])
    assert set(own["splits"]) == {3}
    chart = tuning_figure(own, series_of(labelled), "simulated.promoters", "")
    assert chart["layer"][0]["mark"]["type"] == "line"
    (data,) = chart["datasets"].values()
    assert [row["step"] for row in data] == [10, 20, 30]


def test_cropped_sequences_are_told_by_task_and_model(labelled):
    note = crop_note(labelled["summary"])
    assert note.endswith(
        "7 of simulated.enhancers (small); 7 of simulated.promoters (small); "
        "7 of simulated.shuffled (small)."
    )
    assert crop_note(labelled["summary"].assign(cropped_rows=float("nan"))) == ""


def test_every_mark_of_a_method_has_its_letter():
    shapes = {method.shape for method in BY_NAME.values()} | {BASELINE_SHAPE, OTHER_SHAPE}
    assert shapes == set(GLYPHS)
    assert len(set(GLYPHS.values())) == len(GLYPHS)
