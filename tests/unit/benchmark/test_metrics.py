"""The four scores against values worked out by hand."""

import math

import numpy as np
import pytest

from dnalm.benchmark.metrics import score, single_score
from dnalm.errors import InputError


def test_binary_scores_equal_a_confusion_matrix_worked_out_by_hand():
    # 3 true positives, 1 false negative, 2 false positives, 4 true negatives.
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    predictions = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    second = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.55, 0.3, 0.2, 0.1, 0.05])
    found = score(labels, predictions, np.stack([1 - second, second], axis=1), "binary")
    assert found["mcc"] == pytest.approx((3 * 4 - 2 * 1) / math.sqrt(5 * 4 * 6 * 5))
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    # 22 of the 24 (positive, negative) pairs stand in the right order.
    assert found["auc"] == pytest.approx(22 / 24)


def test_multiclass_f1_is_the_plain_mean_over_classes():
    labels = np.array([0, 0, 1, 1, 2, 2])
    predictions = np.array([0, 0, 1, 2, 2, 1])
    probabilities = np.eye(3)[predictions]
    found = score(labels, predictions, probabilities, "multiclass")
    assert found["f1"] == pytest.approx((1.0 + 0.5 + 0.5) / 3)
    assert found["accuracy"] == pytest.approx(4 / 6)
    # One-versus-rest areas of a hard classifier: the mean of sensitivity and specificity.
    assert found["auc"] == pytest.approx((1.0 + 0.625 + 0.625) / 3)


def test_auc_is_nan_where_a_class_has_no_row_and_the_other_scores_stay():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[labels]
    found = score(labels, labels, probabilities, "multiclass")
    assert math.isnan(found["auc"])
    assert found["mcc"] == found["accuracy"] == 1.0


def test_a_constant_prediction_has_an_mcc_of_zero():
    labels = np.array([0, 1, 1, 1])
    probabilities = np.tile([0.3, 0.7], (4, 1))
    found = score(labels, np.ones(4, dtype=int), probabilities, "binary")
    assert found["mcc"] == 0.0
    assert found["auc"] == 0.5


@pytest.mark.parametrize(("metric", "kind"), [("loss", "binary"), ("mcc", "regression")])
def test_an_unknown_metric_or_kind_is_named(metric, kind):
    with pytest.raises(InputError, match=r"(metric|kind) is"):
        single_score(metric, np.array([0, 1]), np.array([0, 1]), np.eye(2), kind)
