"""The scores of every kind against values worked out by hand, and scikit-learn and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_squared_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from dnalm.benchmark.scoring.metrics import headline, loss, score, single_score
from dnalm.benchmark.scoring.ranking import rank
from dnalm.benchmark.tasks.kinds import KINDS, find_kind
from dnalm.errors import InputError


def top_k_of(truth, scores):
    return rank(lambda: iter([(truth.astype(bool), scores)])).top_k[1]


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


def test_losses_equal_those_of_scikit_learn():
    random = np.random.default_rng(0)
    for kind, classes in (("binary", 2), ("multiclass", 4)):
        labels = random.integers(classes, size=50)
        outputs = random.dirichlet(np.ones(classes), size=50)
        assert loss(labels, outputs, kind) == pytest.approx(log_loss(labels, outputs))
    labels, outputs = random.integers(2, size=(50, 3)), random.random((50, 3))
    each = [log_loss(labels[:, c], outputs[:, c]) for c in range(3)]
    assert loss(labels, outputs, "multilabel") == pytest.approx(np.mean(each))
    targets, values = random.normal(size=(2, 50, 3))
    expected = mean_squared_error(targets, values)
    assert loss(targets, values, "regression") == pytest.approx(expected)
    assert np.isfinite(loss(np.array([0]), np.array([[0.0, 1.0]]), "binary"))


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


@pytest.mark.parametrize(
    ("metric", "kind"), [("loss", "binary"), ("mcc", "regression"), ("mcc", "ranking")]
)
def test_an_unknown_metric_or_kind_is_named(metric, kind):
    with pytest.raises(InputError, match=f"'({metric}|{kind})' is not allowed"):
        single_score(metric, np.array([0, 1]), np.array([0, 1]), np.eye(2), kind)


def test_every_kind_has_its_metrics_and_the_first_is_the_one_to_choose_by():
    assert [headline(kind.name) for kind in KINDS] == [
        *["mcc", "mcc", "auc_mean", "pearson_mean", "top_k_accuracy"]
    ]


def test_multilabel_scores_are_plain_means_of_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels = random.integers(2, size=(80, 4))
    probabilities = np.clip(labels * 0.3 + random.random((80, 4)) * 0.7, 0, 1)
    predictions = (probabilities > 0.5).astype(int)
    found = score(labels, predictions, probabilities, "multilabel")
    assert list(found) == list(find_kind("multilabel").metrics)
    assert found["auc_mean"] == pytest.approx(roc_auc_score(labels, probabilities))
    assert found["average_precision_mean"] == pytest.approx(
        average_precision_score(labels, probabilities)
    )
    assert found["f1_mean"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert found["mcc_mean"] == pytest.approx(
        np.mean([matthews_corrcoef(labels[:, c], predictions[:, c]) for c in range(4)])
    )


def test_a_label_without_both_classes_is_left_out_and_nan_if_none_is_left():
    labels = np.array([[0, 1], [1, 1], [1, 1]])
    probabilities = np.array([[0.1, 0.1], [0.9, 0.2], [0.8, 0.3]])
    predictions = (probabilities > 0.5).astype(int)
    found = score(labels, predictions, probabilities, "multilabel")
    assert found == dict.fromkeys(find_kind("multilabel").metrics, 1.0)
    alone = score(labels[:, 1:], predictions[:, 1:], probabilities[:, 1:], "multilabel")
    assert all(map(math.isnan, alone.values()))


def test_regression_scores_are_means_over_targets_of_those_of_scipy_and_scikit_learn():
    random = np.random.default_rng(1)
    labels = random.normal(size=(60, 3)) * [1, 10, 100] + [0, 5, -7]
    predictions = labels * 0.5 + random.normal(size=(60, 3)) * [1, 10, 100]
    found = score(labels, predictions, None, "regression")
    pairs = list(zip(labels.T, predictions.T, strict=True))
    assert found["pearson_mean"] == pytest.approx(np.mean([pearsonr(*p)[0] for p in pairs]))
    assert found["spearman_mean"] == pytest.approx(np.mean([spearmanr(*p)[0] for p in pairs]))
    assert found["r2_mean"] == pytest.approx(r2_score(labels, predictions))
    assert found["rmse_mean"] == pytest.approx(root_mean_squared_error(labels, predictions))


def test_a_constant_prediction_has_a_correlation_of_zero_and_a_constant_target_none():
    labels = np.array([[1.0, 4.0], [2.0, 4.0], [4.0, 4.0]])
    found = score(labels, np.full((3, 2), 2.0), None, "regression")
    assert (found["pearson_mean"], found["spearman_mean"]) == (0.0, 0.0)
    assert found["r2_mean"] == pytest.approx(1 - 5 / (14 / 3))
    assert found["rmse_mean"] == pytest.approx((math.sqrt(5 / 3) + 2) / 2)
    assert math.isnan(
        single_score("pearson_mean", labels[:, 1:], labels[:, 1:], None, "regression")
    )


def test_bases_are_scored_as_by_hand_and_those_without_a_label_not_at_all():
    labels = np.array([[0, 1, 0, 2], [1, 0, -1, -1]])
    one = [[0.1, 0.9, 0.6, 0.2], [0.5, 0.1, 0.99, 0.99]]
    two = [[0.1, 0.0, 0.2, 0.3], [0.1, 0.0, 0.0, 0.0]]
    probabilities = np.stack([1 - np.add(one, two), one, two], axis=-1)
    predictions = probabilities.argmax(axis=-1)
    assert predictions[0].tolist() == [0, 1, 1, 0]
    found = score(labels, predictions, probabilities, "per_base")
    # Class 1 has two bases, at 0.9 and 0.5; between them lies one of class 0 at 0.6. Class 2 is
    # found at once.
    assert found["top_k_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["average_precision_mean"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert found["accuracy"] == pytest.approx(4 / 6)
    known = labels >= 0
    assert found["mcc"] == pytest.approx(matthews_corrcoef(labels[known], predictions[known]))


def test_of_equally_probable_bases_any_order_gives_what_is_expected_of_all():
    truth = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    random = np.random.default_rng(2)
    probability = random.integers(0, 3, 10) / 4
    expected = np.mean(
        [
            truth[np.lexsort([random.random(10), -probability])[: truth.sum()]].mean()
            for _ in range(20_000)
        ]
    )
    for _ in range(5):
        order = random.permutation(10)
        assert top_k_of(truth[order], probability[order]) == pytest.approx(expected, abs=0.01)
    assert top_k_of(truth, np.full(10, 0.3)) == pytest.approx(0.3)
    assert top_k_of(truth, truth.astype(float)) == 1


def test_a_class_without_a_base_is_left_out():
    labels, probabilities = np.array([[0, 1, 0]]), np.array([[[0.8, 0.2, 0], [0.1, 0.9, 0]]])
    probabilities = np.concatenate([probabilities, probabilities[:, :1]], axis=1)
    found = score(labels, labels, probabilities, "per_base")
    assert found == dict.fromkeys(find_kind("per_base").metrics, 1.0)
