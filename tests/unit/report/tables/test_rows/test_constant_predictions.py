"""A model that predicts one class: counted by split, and told apart by its training loss."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.scoring.bootstrap import Predictions
from dnalm.benchmark.scoring.bootstrap_parts import open_predictions
from dnalm.report.pages.findings import findings
from dnalm.report.tables.test_rows.constant_predictions import constant_folds, still_falls

LABELS = np.array([0, 1, 0, 1])
FALLING = np.linspace(0.69, 0.60, 20)
FLAT = 0.69 + 0.002 * np.array([1, -1] * 10)


def predictions(kind, labels, classes):
    ids = np.array([f"test.{i}" for i in range(len(labels))])
    return Predictions(ids=ids, labels=labels, classes=np.array(classes), kind=kind)


def test_splits_that_give_every_row_one_class_are_counted():
    found = constant_folds(
        predictions("binary", LABELS, [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
    )
    assert found.tolist() == [True, True, False]


def test_where_all_rows_have_one_label_one_class_is_no_fault():
    assert not constant_folds(predictions("binary", LABELS * 0, [[0, 0, 0, 0]])).any()


def test_every_label_of_several_has_to_be_constant():
    flags = np.array([[0, 1], [1, 0], [1, 1]])
    classes = [[[0, 1], [0, 1], [0, 1]], [[0, 1], [0, 0], [0, 1]]]
    assert constant_folds(predictions("multilabel", flags, classes)).tolist() == [True, False]


def test_bases_without_a_label_do_not_tell_a_constant_prediction(tmp_path):
    labels = [[0, 0, 1], [2, -1, -1]]
    given = [[[0, 0, 0], [0, 2, 1]], [[0, 0, 1], [0, 0, 0]]]
    rows = [
        {"id": f"test.{row}", "fold": fold, "label": label, "prediction": own[row]}
        for fold, own in enumerate(given)
        for row, label in enumerate(labels)
    ]
    table = pd.DataFrame(rows)
    for label in range(3):
        table[f"probability.{label}"] = [[0.2, 0.3, 0.5]] * len(table)
    path = tmp_path / "predictions.parquet"
    table.to_parquet(path)
    assert constant_folds(open_predictions(path, "per_base")).tolist() == [True, False]
    table["label"] = [[0, 0, -1], [0, 0, -1]] * 2
    table.to_parquet(path)
    assert not constant_folds(open_predictions(path, "per_base")).any()


@pytest.mark.parametrize(
    ("losses", "falls"),
    [
        (FALLING, True),
        (FLAT, False),
        # Fast at the beginning, and then nothing more: the share of classes was all it learned.
        (np.concatenate([np.linspace(2, 0.69, 10), FLAT[:10]]), False),
        (np.array([0.7, 0.6]), True),
        (np.array([0.7]), False),
    ],
)
def test_a_loss_falls_by_the_last_half_of_its_evaluations(losses, falls):
    assert still_falls(losses) is falls


def test_the_report_names_who_predicts_one_class_and_what_its_loss_does(new_run):
    new_run.add_corpus()
    for task in ("own.a", "own.b", "own.control"):
        new_run.add_task(task, {"train": 900, "test": 400}, shuffled=task == "own.control")
    new_run.add_model("small")
    labels, constant = np.arange(400) % 2, np.tile([0.6, 0.4], (400, 1))
    mixed = np.stack([1 - 0.8 * labels, 0.8 * labels], axis=1)
    new_run.add_outputs("ia3", "small", "own.a", labels, [constant, mixed], losses=FALLING)
    new_run.add_outputs("ia3", "small", "own.b", labels, [constant, constant], losses=FLAT)
    new_run.add_outputs("ia3", "small", "own.control", labels, [constant] * 2, losses=FLAT)
    new_run.add_outputs("baseline", "majority", "own.a", labels, [constant, constant])
    tables = new_run.tables()
    said = findings(*(tables[name] for name in ("summary", "comparisons", "tasks", "models")))
    cautions = [text for text in said if "predicts one class" in text]
    assert len(cautions) == 2  # not of a baseline, nor of a control, where that is right
    assert "small · IA3 fine-tuning predicts one class alone on own.a, in 1 of 2" in cautions[0]
    assert "while its training loss still falls (0.690 to 0.600)" in cautions[0]
    assert "own.b, in 2 of 2 splits, and its training loss falls no more" in cautions[1]
    counted = tables["summary"].set_index(["model", "task"])["constant_splits"]
    assert counted["majority", "own.a"] == 2
