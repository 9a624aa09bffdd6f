"""Tasks of several kinds in one report: each by its own metric, none mixed with another."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import confusion_matrix, roc_auc_score

from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Predictions,
    bootstrap,
    subtract,
)
from dnalm.benchmark.scoring.bootstrap_parts import open_predictions
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError
from dnalm.report.job_records import RuleGraph
from dnalm.report.pages.benchmark import ReportConfig, make_page
from dnalm.report.pages.plain_summary import plain_summary
from dnalm.report.provenance import Provenance
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.stages import stages_table

NO_RECORDS = RuleGraph(reads={}, jobs={})
MADE = Provenance(
    facts=[("dnalm", "0.0")], configuration="a: 1", methods="M", citations="C", rules=NO_RECORDS
)

CONFIG = ReportConfig(
    title="Kinds",
    statistic="mean_2sd",
    bootstrap={"draws": 200, "seed": 1, "level": 0.95},
    correction="holm",
    equal=0.02,
    leak="overlap",
)
ROWS, BASES, FOLDS = 120, 30, 2
TARGETS = [{"min": -1.5, "mean": 0.0, "max": 2.25}, {"min": 0.0, "mean": 1.0, "max": 2.0}]
KINDS = {
    "simulated.strengths": ("regression", 2, {"rows_per_class": None}),
    "simulated.marks": ("multilabel", 3, {}),
    "simulated.sites": ("per_base", 3, {"rows_per_class": None}),
}


def labels_of(kind, random):
    if kind == "regression":
        return random.normal(size=(ROWS, 2))
    if kind == "multilabel":
        return random.integers(2, size=(ROWS, 3))
    return np.where(random.random((ROWS, BASES)) < 0.9, 0, random.integers(1, 3, (ROWS, BASES)))


def outputs_of(labels, kind, noise, random):
    """Return outputs of every fold: the truth among noise, the more the weaker the method."""
    if kind == "regression":
        return [labels + noise * random.normal(size=labels.shape) for _ in range(FOLDS)]
    if kind == "multilabel":
        blurred = [labels + noise * random.normal(size=labels.shape) for _ in range(FOLDS)]
        return [1 / (1 + np.exp(-4 * (one - 0.5))) for one in blurred]
    right = (labels[..., None] == np.arange(3)) * 4.0
    logits = [right + 2 * noise * random.normal(size=right.shape) for _ in range(FOLDS)]
    return [np.exp(one) / np.exp(one).sum(axis=-1, keepdims=True) for one in logits]


@pytest.fixture(scope="module")
def planted_kinds(planted_run, tmp_path_factory):
    """Return the simulated run with a task of every other kind: fine-tuned, and two untrained."""
    run = planted_run.copy(tmp_path_factory.mktemp("kinds"))
    random = np.random.default_rng(0)
    for task, (kind, classes, counts) in KINDS.items():
        if kind == "regression":
            counts = counts | {"targets": {"train": TARGETS, "test": TARGETS}}
        elif kind == "per_base":
            counts = counts | {
                "bases_per_class": {"train": [900, 60, 40], "test": [3200, 200, 200]}
            }
        else:
            counts = {"rows_per_class": {"train": [9, 8, 7], "test": [60, 50, 40]}}
        run.add_task(task, {"train": 90, "test": ROWS}, kind=kind, classes=classes, counts=counts)
        labels = labels_of(kind, random)
        for model, noise in (("small", 0.5), ("small.untrained", 2.0)):
            run.add_outputs("ia3", model, task, labels, outputs_of(labels, kind, noise, random))
    return run


@pytest.fixture
def mixed_run(planted_kinds, tmp_path):
    """Return that run, to be changed."""
    return planted_kinds.copy(tmp_path)


@pytest.fixture(scope="module")
def mixed_tables(planted_kinds):
    """Return the tables of that run, to be read only."""
    return planted_kinds.tables()


def show(tables, folder):
    paths = {name: str(folder / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    read = read_tables(paths)
    stages = stages_table(folder / "none", read)
    return make_page(read, stages, CONFIG, MADE, []), plain_summary(read, stages)


def test_every_task_is_summarised_by_the_first_metric_of_its_kind(mixed_tables):
    summary = mixed_tables["summary"]
    metrics = dict(zip(summary["task"], summary["metric"], strict=True))
    assert metrics == {
        **dict.fromkeys([f"simulated.{n}" for n in ("promoters", "enhancers", "shuffled")], "mcc"),
        "simulated.strengths": "pearson_mean",
        "simulated.marks": "auc_mean",
        "simulated.sites": "top_k_accuracy",
    }
    for row in summary.to_dict("records"):
        assert row["score_mean"] == row[f"{row['metric']}_mean"]
    own = summary[summary["metric"] == "pearson_mean"]
    assert own["mcc_mean"].isna().all()
    assert own[["rmse_mean_mean", "r2_mean_mean", "pearson_mean_sd"]].notna().all(axis=None)
    scores = mixed_tables["scores"]
    assert list(scores.columns[:8]) == [
        *["method", "model", "task", "fold", "mcc", "accuracy", "f1", "auc"]
    ]
    assert scores.loc[scores["task"] == "simulated.marks", "auc"].isna().all()
    assert scores.loc[scores["task"] == "simulated.marks", "auc_mean"].notna().all()


def test_a_run_of_classes_alone_has_the_columns_of_classes_alone(shared_tables):
    columns = ["method", "model", "task", "fold", "mcc", "accuracy", "f1", "auc"]
    assert shared_tables["scores"].columns.tolist() == columns
    assert not [c for c in shared_tables["summary"] if c.startswith(("pearson", "auc_mean_"))]


def test_every_kind_is_compared_with_its_untrained_self(mixed_tables):
    comparisons = mixed_tables["comparisons"]
    for task in KINDS:
        (row,) = comparisons[comparisons["task"] == task].to_dict("records")
        assert row["verdict"] == "better"
        assert row["score"] - row["reference_score"] == pytest.approx(row["difference"])
        assert row["low"] < row["difference"] < row["high"]


def test_the_page_names_each_metric_and_draws_it_by_itself(mixed_tables, tmp_path):
    page, text = show(mixed_tables, tmp_path)
    for words in ("by MCC, mean AUC, mean Pearson r, top-k accuracy", "Mean Pearson r</dt>"):
        assert words in page
    for metric in ("MCC", "Mean Pearson r", "Mean AUC", "Top-k accuracy"):
        assert f"{metric} on test rows" in page
        name = metric if metric == "MCC" else metric[0].lower() + metric[1:]
        assert f"Difference in {name} (95 % interval)" in page
    cells = [re.sub("<[^>]+>", " ", line).split() for line in page.split("<tr>")]
    tasks = {"3 labels": "marks", "2 targets": "strengths", "3 classes for each base": "sites"}
    for kind, task in tasks.items():
        assert any(kind in " ".join(row) and f"simulated.{task}" in row for row in cells)
    assert "-1.5 … 2.25 / 0 … 2" in page
    assert "3200 / 200 / 200" in page
    assert "Test score, mean ± 2 SD" in text
    assert any(
        line.split()[:4] == ["simulated.marks", "mean", "AUC", "–"] for line in text.split("\n")
    )


def test_a_quiet_control_of_labels_scores_half(mixed_run, tmp_path):
    random = np.random.default_rng(3)
    mixed_run.add_task(
        "simulated.control",
        {"train": 90, "test": ROWS},
        shuffled=True,
        kind="multilabel",
        classes=3,
        counts={"rows_per_class": {"train": [40] * 3, "test": [60, 50, 40]}},
    )
    labels = labels_of("multilabel", random)
    mixed_run.add_outputs("ia3", "small", "simulated.control", labels, random.random((2, ROWS, 3)))
    page, _ = show(mixed_run.tables(), tmp_path)
    said = "control simulated.control, whose labels are shuffled"
    assert f"{said}, all score 0.5 within chance" in page
    mixed_run.add_model("leaky")
    mixed_run.add_outputs("ia3", "leaky", "simulated.control", labels, [labels * 0.9] * 2)
    page, _ = show(mixed_run.tables(), tmp_path)
    assert f"{said}, leaky · IA3 fine-tuning scored further from 0.5" in page


@pytest.mark.parametrize("kind", ["regression", "multilabel", "per_base"])
def test_predictions_read_back_as_they_were_written(mixed_run, kind):
    (task,) = (name for name, (own, *_) in KINDS.items() if own == kind)
    paths = [files["predictions"] for files in mixed_run.results]
    (path,) = (p for p in paths if f"ia3-small-{task}" in p)
    found = open_predictions(path, kind)
    given = pd.read_parquet(path)
    if kind == "per_base":
        assert (len(found.folds), len(found.ids)) == (FOLDS, ROWS)
        assert found.sites.sum() == ROWS * BASES
        for fold, own in given.groupby("fold"):
            expected = confusion_matrix(np.hstack(own["label"]), np.hstack(own["prediction"]))
            assert (found.confusion(fold, 3) == expected).all()
    else:
        assert found.labels.shape == found.classes.shape[1:]
        assert found.classes.shape[:2] == (FOLDS, ROWS)
    if kind == "regression":
        assert found.probabilities is None
        return
    if kind == "multilabel":
        assert (find_kind(kind).decide(found.probabilities) == found.classes).all()
    given[["id", "fold", "label", "prediction"]].to_parquet(path)
    with pytest.raises(InputError, match=f"no probabilities, by which a {kind} task is scored"):
        open_predictions(path, kind)


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_the_difference_is_that_of_scipy_or_scikit_learn(kind):
    random = np.random.default_rng(7)
    labels = labels_of(kind, random)
    pair = []
    for noise in (0.5, 1.5):
        outputs = np.stack(outputs_of(labels, kind, noise, random))
        pair.append(
            Predictions(
                ids=np.arange(ROWS).astype(str),
                labels=labels,
                classes=find_kind(kind).decide(outputs),
                probabilities=outputs if kind == "multilabel" else None,
                kind=kind,
            )
        )

    def value(method):
        if kind == "multilabel":
            return np.mean([roc_auc_score(labels, fold) for fold in method.probabilities])
        folds = [zip(labels.T, fold.T, strict=True) for fold in method.classes]
        return np.mean([pearsonr(*columns)[0] for fold in folds for columns in fold])

    found = subtract(*bootstrap(pair, BootstrapConfig(draws=100, seed=0, level=0.95)), 0.95)
    assert [found.first, found.second] == pytest.approx([value(method) for method in pair])
    assert found.low < found.difference < found.high
