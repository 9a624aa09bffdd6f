"""Confusion and curves of planted predictions, against scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from dnalm.benchmark.scoring.ranking import count_thresholds
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.report.tables.test_rows.curves import GRID, curves_of, curves_of_counts

ROWS = 3000


def plant(run, kind, classes, labels, outputs, name="mine.task"):
    run.add_corpus()
    counts = {"bases_per_class": {"train": [9, 9], "test": [9, 9]}, "rows_per_class": None}
    counts = counts if kind == "per_base" else None
    rows = {"train": 900, "test": len(labels)}
    run.add_task(name, rows, kind=kind, classes=classes, counts=counts)
    run.add_model("small")
    score = f"validation_{find_kind(kind).headline}"
    grid = [{"feature": "layer.2", "penalty": 0.01, f"{score}_mean": 0.5, f"{score}_sd": 0.1}]
    run.add_outputs("probe", "small", name, labels, outputs, grid=grid)
    return run.tables()


def noisy(labels, classes, seed, signal=1.0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(*labels.shape, classes))
    logits += signal * np.eye(classes)[labels]
    shares = np.exp(logits)
    return shares / shares.sum(axis=-1, keepdims=True)


def curve(table, name, label):
    own = table[(table["curve"] == name) & (table["label"] == label)].sort_values("x")
    assert len(own) == len(GRID)
    return own


def test_confusion_and_curves_of_two_classes_are_those_of_scikit_learn(new_run):
    labels = np.arange(ROWS) % 2
    outputs = [noisy(labels, 2, seed) for seed in range(3)]
    tables = plant(new_run, "binary", 2, labels, outputs)
    counted = tables["confusion"]
    assert set(counted["role"]) == {"chosen"}
    expected = sum(confusion_matrix(labels, own.argmax(axis=1)) for own in outputs)
    assert counted["predictions"].tolist() == expected.ravel().tolist()
    assert set(counted["label_rows"]) == {ROWS // 2}
    curves = tables["test_curves"]
    assert set(curves["label"]) == {"1"}
    assert set(curves["positives"]) == {ROWS // 2}
    roc = curve(curves, "roc", "1")
    areas = [roc_auc_score(labels, own[:, 1]) for own in outputs]
    assert auc(roc["x"], roc["y"]) == pytest.approx(np.mean(areas), abs=2e-3)
    pr = curve(curves, "pr", "1")
    means = [average_precision_score(labels, own[:, 1]) for own in outputs]
    assert auc(pr["x"], pr["y"]) == pytest.approx(np.mean(means), abs=5e-3)
    assert (roc["y_sd"] > 0).sum() > len(GRID) / 2


def test_a_precision_is_that_of_the_highest_threshold_with_the_recall():
    random = np.random.default_rng(3)
    truth = random.random(200) < 0.2
    scores = np.round(random.random(200) + 0.3 * truth, 2)  # with ties
    _, precisions = curves_of(truth, scores)
    recalls = {t: recall_score(truth, scores >= t) for t in np.unique(scores)}
    expected = {t: precision_score(truth, scores >= t) for t in recalls}
    for recall, precision in zip(GRID[1:], precisions[1:], strict=True):
        highest = max(t for t in recalls if recalls[t] >= recall - 1e-9)
        assert precision == pytest.approx(expected[highest])


@pytest.mark.parametrize("digits", [1, 2, 7])
@pytest.mark.parametrize("highest", [False, True])
def test_curves_of_counts_are_those_of_scikit_learn_between_all_thresholds(digits, highest):
    """With ties, and with the highest score on a row that is not positive."""
    random = np.random.default_rng(digits)
    truth = random.random(500) < 0.1
    scores = np.round(random.random(500) + 0.3 * truth, digits)
    scores[np.flatnonzero(~truth)[0]] += 2 * highest
    pieces = np.array_split(np.arange(500), 7)
    counts = count_thresholds(lambda: ((truth[piece], scores[piece]) for piece in pieces))
    np.testing.assert_allclose(curves_of_counts(counts), curves_of(truth, scores), atol=1e-12)
    assert curves_of_counts(counts)[1, 0] == (0 if highest else curves_of(truth, scores)[1, 0])


def test_a_mean_curve_stands_beside_those_of_each_class(new_run):
    labels = np.arange(ROWS) % 3
    tables = plant(new_run, "multiclass", 3, labels, [noisy(labels, 3, 1)])
    curves = tables["test_curves"]
    assert sorted(set(curves["label"])) == ["0", "1", "2", "all"]
    each = [curve(curves, "roc", str(label))["y"].to_numpy() for label in range(3)]
    assert np.allclose(curve(curves, "roc", "all")["y"], np.mean(each, axis=0), atol=1e-4)
    assert curves["y_sd"].isna().all()  # one split has no deviation


def test_labels_and_bases_have_curves_and_bases_alone_a_confusion(new_run):
    labels = np.random.default_rng(0).integers(0, 2, (ROWS, 14))
    shares = 0.3 + 0.4 * labels + 0.2 * np.random.default_rng(1).random(labels.shape)
    tables = plant(new_run, "multilabel", 14, labels, [shares])
    assert set(tables["test_curves"]["label"]) == {"all"}  # of so many none alone
    assert (tables["test_curves"]["y"] > 0.99).sum() > len(GRID)
    assert tables["confusion"].empty


def test_bases_without_a_label_are_left_out(new_run):
    labels = np.tile([0, 1, 2, -1], (50, 3))
    outputs = noisy(np.maximum(labels, 0), 3, 5, signal=9.0)
    tables = plant(new_run, "per_base", 3, labels, [outputs])
    assert tables["confusion"]["predictions"].sum() == 50 * 9
    assert set(tables["test_curves"]["label"]) == {"1", "2", "all"}
    assert set(tables["test_curves"]["test_rows"]) == {50 * 9}


def test_results_without_probabilities_have_a_confusion_and_no_curve(new_run):
    labels = np.arange(ROWS) % 2
    plant(new_run, "binary", 2, labels, [noisy(labels, 2, 0)])
    path = Path(new_run.results[0]["predictions"])
    table = pd.read_parquet(path)
    table.drop(columns="probability.1").to_parquet(path)
    tables = new_run.tables()
    assert len(tables["confusion"]) == 4
    assert tables["test_curves"].empty


def test_the_strongest_baseline_stands_beside_the_choice(shared_tables):
    confusion = shared_tables["confusion"]
    roles = confusion.groupby("task")["role"].unique().map(sorted).to_dict()
    choices = shared_tables["choices"].set_index("task")
    for task, named in roles.items():
        beside = choices.loc[task, "reference"]
        assert named == ["chosen", *(["strongest baseline"] if beside else [])]
