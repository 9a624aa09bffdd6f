"""Choices by validation, headline means and verdicts on published values, with planted scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnalm.report.tables.verdicts.headline import ALL, OF_CATEGORIES
from dnalm.report.tables.verdicts.published_scores import read_published
from dnalm.report.tables.verdicts.reproduction import judge

RESOURCES = Path(__file__).parents[4] / "resources"
NT_V2 = "NT-v2-Multispecies-500M"
H3K4me3 = {"train": 30000, "test": 776}
NAN = float("nan")


def grid(score, metric="mcc"):
    row = {"feature": "layer.1", "penalty": 1.0, "validation_loss": 0.5, "unscored": 0}
    return [row | {f"validation_{metric}_mean": score, f"validation_{metric}_sd": 0.0}]


@pytest.fixture
def judged(new_run):
    """A run of a published model, another model and two baselines on three tasks."""
    run = new_run
    for name, task, category in (
        ("revised.H3K4me3", H3K4me3, "chromatin"),
        ("revised.promoter_all", {"train": 30000, "test": 1584}, "regulatory"),
    ):
        run.add_task(name, task, published_as=name, published=task, category=category)
    run.add_task("mine.shuffled", {"train": 100, "test": 100}, shuffled=True)
    run.add_corpus()
    run.add_model("v2", NT_V2)
    run.add_model("small")
    run.baselines = ["kmers", "gc_content"]
    run.methods = {"scaled": "ia3"}
    return run


def test_the_choice_is_that_of_validation_rows_and_not_of_test_rows(judged):
    task = "revised.H3K4me3"
    judged.add_result("probe", "v2", task, [0.70] * 2, seed=1, grid=grid(0.5))
    judged.add_result("probe", "small", task, [0.95] * 2, seed=2, grid=grid(0.4))
    judged.add_result("baseline", "kmers", task, [0.60] * 2, seed=3, grid=grid(0.3))
    judged.add_result("baseline", "gc_content", task, [0.99] * 2, seed=4)
    tables = judged.tables()
    choice = tables["choices"].set_index("task").loc[task]
    assert (choice["method"], choice["model"]) == ("probe", "v2")
    assert (choice["candidates"], choice["unranked"]) == (3, 1)
    assert choice["validation_score"] == 0.5
    summary = tables["summary"].set_index(["model", "task"])
    assert choice["score_mean"] == summary.loc[("v2", task), "score_mean"]
    assert choice["reference"] == "kmers"
    difference = choice["score_mean"] - summary.loc[("kmers", task), "score_mean"]
    assert choice["margin"] == pytest.approx(difference)
    assert choice["verdict"] == "better"


def test_a_baseline_that_validation_rows_prefer_is_the_choice_and_has_no_margin(judged):
    task = "revised.H3K4me3"
    judged.add_result("probe", "v2", task, [0.9] * 2, grid=grid(0.2))
    judged.add_result("baseline", "kmers", task, [0.6] * 2, grid=grid(0.3))
    choice = judged.tables()["choices"].set_index("task").loc[task]
    assert (choice["method"], choice["model"], choice["reference"]) == ("baseline", "kmers", "")
    assert pd.isna(choice["margin"])


def test_a_choice_by_another_metric_than_the_task_s_does_not_compete(judged):
    task = "revised.H3K4me3"
    judged.add_result("probe", "v2", task, [0.9] * 2, grid=grid(0.99, metric="f1"))
    judged.add_result("baseline", "kmers", task, [0.6] * 2, grid=grid(0.3))
    choice = judged.tables()["choices"].set_index("task").loc[task]
    assert choice["model"] == "kmers"
    assert choice["unranked"] == 1


def test_a_fine_tuned_model_competes_by_the_validation_scores_of_its_kept_steps(judged, tmp_path):
    task, history = "revised.H3K4me3", tmp_path / "history.tsv"
    rows = [(0, 5, 0.6, 0.1), (0, 10, 0.5, 0.7), (1, 5, 0.6, 0.5), (1, 10, 0.5, 0.2)]
    pd.DataFrame(rows, columns=["fold", "step", "train_loss", "validation_mcc"]).to_csv(
        history, sep="\t", index=False
    )
    judged.add_result("probe", "v2", task, [0.9] * 2, grid=grid(0.59))
    judged.add_result("scaled", "v2", task, [0.8] * 2)
    judged.keep_steps(history, [10, 5])
    choice = judged.tables()["choices"].set_index("task").loc[task]
    assert choice["method"] == "scaled"
    assert choice["validation_score"] == pytest.approx((0.7 + 0.5) / 2)


def test_headline_means_are_over_tasks_and_over_categories_without_controls(judged):
    for i, task in enumerate(("revised.H3K4me3", "revised.promoter_all")):
        judged.add_result("probe", "v2", task, [0.7 + 0.2 * i] * 2, seed=i)
        judged.add_result("baseline", "kmers", task, [0.6] * 2, seed=9 + i)
    judged.add_result("probe", "v2", "mine.shuffled", [0.5] * 2)
    tables = judged.tables()
    headline = tables["headline"].set_index(["category", "model"])
    assert set(tables["headline"]["set"]) == {"revised"}
    scores = tables["summary"].query("model == 'v2' and task != 'mine.shuffled'")["score_mean"]
    whole = headline.loc[(ALL, "v2")]
    assert whole["score"] == pytest.approx(scores.mean())
    assert whole["low"] < whole["score"] < whole["high"]
    assert (whole["rank"], whole["best_share"]) == (1, 1.0)
    assert headline.loc[(ALL, "kmers"), "rank"] == 2
    assert headline.loc[(OF_CATEGORIES, "v2"), "score"] == pytest.approx(whole["score"])
    own = tables["summary"].set_index(["model", "task"]).loc[("v2", "revised.H3K4me3")]
    assert headline.loc[("chromatin", "v2"), "score"] == own["score_mean"]
    assert headline.loc[("chromatin", "v2"), "low"] == pytest.approx(own["low"])


def test_a_method_that_misses_a_task_has_no_rank(judged):
    for task in ("revised.H3K4me3", "revised.promoter_all"):
        judged.add_result("baseline", "kmers", task, [0.6] * 2)
    judged.add_result("probe", "v2", "revised.promoter_all", [0.9] * 2)
    whole = judged.tables()["headline"].set_index(["category", "model"]).loc[ALL]
    assert pd.isna(whole.loc["v2", "rank"])
    assert (whole.loc["v2", "tasks"], whole.loc["v2", "tasks_scored"]) == (2, 1)
    assert whole.loc["kmers", "rank"] == 1


def test_two_equal_methods_share_the_first_place(judged):
    for model in ("v2", "small"):
        judged.add_result("probe", model, "revised.H3K4me3", [0.7] * 2, seed=1)
    table = judged.tables()["headline"]
    assert table["rank"].tolist() == [1, 1]
    assert table["best_share"].tolist() == [0.5, 0.5]


def test_published_means_are_those_of_the_published_rows():
    """The means that the source of the values prints, by both readings."""
    published = read_published(RESOURCES / "published_scores.tsv").query("benchmark == 'revised'")
    sheet = pd.read_csv(RESOURCES / "tasks.tsv", sep="\t", comment="#").set_index("task")
    categories = published["task"].map(lambda task: sheet.loc[f"revised.{task}", "category"])
    assert categories[published["model"] == NT_V2].value_counts().to_dict() == {
        "chromatin": 10,
        "regulatory": 5,
        "splicing": 3,
    }
    means = published.groupby("model")["value"].mean().round(3)
    assert means[[NT_V2, "NT-Multispecies-2.5B", "DNABERT-2"]].tolist() == [0.672, 0.659, 0.635]
    by_category = published.groupby(["model", categories])["value"].mean().groupby("model").mean()
    by_category = by_category.round(3)
    assert by_category[[NT_V2, "NT-Multispecies-2.5B", "DNABERT-2"]].tolist() == [
        0.750,
        0.737,
        0.689,
    ]


@pytest.mark.parametrize(
    ("difference", "low", "high", "sd", "verdict"),
    [
        (0.001, -0.019, 0.019, NAN, "equal"),
        (0.03, 0.01, 0.05, 0.02, "within the published spread"),
        (0.03, 0.01, 0.05, 0.01, "above"),
        (0.03, 0.01, 0.05, NAN, "above"),
        (-0.3, -0.4, -0.2, 0.01, "below"),
        (0.03, -0.04, 0.10, 0.01, "unknown"),
        (0.0, NAN, NAN, 0.01, "unknown"),
    ],
)
def test_the_verdict_follows_the_interval_then_the_spread(difference, low, high, sd, verdict):
    assert judge(difference, low, high, sd, 0.02)[0] == verdict


def plant_all(run, accuracies, rows=400):
    """Plant the published model on as many of the revised tasks as there are accuracies."""
    sheet = pd.read_csv(RESOURCES / "tasks.tsv", sep="\t", comment="#").set_index("task")
    names = [name for name in sheet.index if name.startswith("revised.")]
    for seed, (name, accuracy) in enumerate(zip(names, accuracies, strict=False)):
        counts = {"train": 1000, "test": rows}
        run.add_task(name, counts, name, counts, category=sheet.loc[name, "category"])
        run.add_result("scaled", "v2", name, [accuracy] * 2, seed=seed)
    run.add_corpus()
    run.add_model("v2", NT_V2)
    run.methods = {"scaled": "ia3"}


def test_every_task_of_the_published_model_and_method_has_a_verdict(new_run):
    run = new_run
    plant_all(new_run, np.linspace(0.7, 0.95, 18))
    tables = run.tables()
    table = tables["reproduction"]
    assert len(table) == 18
    assert set(table["published_data_set"]) == {"revised"}
    row = table.set_index("task").loc["revised.H3K4me3"]
    ours = tables["summary"].set_index("task").loc["revised.H3K4me3"]
    assert row["published"] == 0.627
    assert row["difference"] == pytest.approx(ours["score_mean"] - 0.627)
    assert row["difference_low"] == pytest.approx(ours["low"] - 0.627)
    assert set(table["verdict"]) <= {"equal", "within the published spread", "above", "below"} | {
        "unknown"
    }


def test_other_row_counts_are_not_comparable_and_say_so(new_run):
    run = new_run
    plant_all(new_run, [0.8])
    name = next(iter(run.tasks))
    run.tasks[name]["published_rows"] = {"train": 5, "test": 6}
    row = run.tables()["reproduction"].iloc[0]
    assert row["verdict"] == "not comparable"
    assert "row counts" in row["reason"]


def test_another_method_or_model_is_not_set_beside_a_value(new_run):
    run = new_run
    plant_all(new_run, [0.8])
    run.methods = {"scaled": "lora"}
    assert run.tables()["reproduction"].empty
    run.methods = {"scaled": "ia3"}
    run.models["v2"]["published_as"] = None
    assert run.tables()["reproduction"].empty


def test_a_mean_without_a_rule_is_read_both_ways_and_needs_all_its_tasks(new_run):
    run = new_run
    plant_all(new_run, [0.8, 0.9])
    run.models["v2"]["published_as"] = "NT-v2-Multispecies-250M"
    rows = run.tables()["reproduction"].query("published_data_set == 'revised_summary'")
    assert rows["reading"].tolist() == [ALL]
    assert rows["reason"].tolist() == ["16 of the 18 tasks were not run"]


def test_a_mean_over_all_its_tasks_is_judged_by_both_readings(new_run):
    run = new_run
    plant_all(new_run, [0.88] * 18)
    run.models["v2"]["published_as"] = "NT-v2-Multispecies-250M"
    tables = run.tables()
    rows = tables["reproduction"].query("published_data_set == 'revised_summary'")
    assert rows["reading"].tolist() == [ALL, OF_CATEGORIES]
    scores = tables["headline"].set_index("category")["score"]
    assert rows["score"].tolist() == [scores[ALL], scores[OF_CATEGORIES]]
    assert not (rows["verdict"] == "not comparable").any()
