"""Scores of drawn rows against scikit-learn's on rows that are repeated as often."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

from dnalm.benchmark.scoring.metrics import headline, single_score
from dnalm.benchmark.scoring.resampled_metrics import (
    area,
    average_precision,
    rank_correlation,
    resampled_metric,
)
from dnalm.benchmark.tasks.kinds import find_kind

FOLDS, ROWS, CLASSES = 3, 40, 4


def planted(kind, random):
    """Return labels and outputs of several folds, many of them equal."""
    if kind == "regression":
        labels = random.normal(size=(ROWS, CLASSES)) * 10 + 500
        return labels, labels + random.normal(size=(FOLDS, ROWS, CLASSES)) * 10
    if kind == "multilabel":
        labels = random.integers(2, size=(ROWS, CLASSES))
        return labels, (labels + random.integers(3, size=(FOLDS, ROWS, CLASSES))) / 4
    labels = random.integers(CLASSES, size=ROWS)
    return labels, random.random((FOLDS, ROWS, CLASSES))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_a_draw_scores_as_its_rows_do_when_they_are_repeated(kind):
    random = np.random.default_rng(1)
    labels, outputs = planted(kind, random)
    predictions = find_kind(kind).decide(outputs)
    given = None if kind == "regression" else outputs
    score = resampled_metric(labels, predictions, given, kind)
    draws = np.stack(
        [np.bincount(d, minlength=ROWS) for d in random.integers(ROWS, size=(20, ROWS))]
    )
    draws = np.concatenate([np.ones((1, ROWS), int), draws])
    expected = [
        np.mean(
            [
                single_score(
                    headline(kind), labels[rows], predictions[f][rows], outputs[f][rows], kind
                )
                for f in range(FOLDS)
            ]
        )
        for rows in (np.repeat(np.arange(ROWS), draw) for draw in draws)
    ]
    assert score(draws.astype(np.float32)) == pytest.approx(np.array(expected), abs=1e-6)
    assert np.std(expected) > 0.01


def test_what_a_draw_does_not_hold_is_left_out_or_nan():
    labels = np.array([[0, 0], [0, 1], [1, 1]])
    probabilities = np.array([[[0.1, 0.3], [0.2, 0.2], [0.3, 0.4]]])
    score = resampled_metric(labels, labels[None], probabilities, "multilabel")
    draws = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 3]])
    np.testing.assert_allclose(score(draws), [(1 + 1 / 2) / 2, 1, np.nan])


def test_a_constant_prediction_correlates_with_nothing_and_nothing_with_a_constant_truth():
    labels, constant = np.array([[1.0], [2.0], [4.0]]), np.full((1, 3, 1), 1e9)
    draws = np.array([[1, 1, 1], [3, 0, 0]])
    score = resampled_metric(labels, constant, None, "regression")
    np.testing.assert_allclose(score(draws), [0, np.nan])


@pytest.mark.parametrize("classes", [2, 3, 60])
def test_matthews_of_any_number_of_classes_equals_scikit_learn_and_of_one_guess_is_zero(classes):
    random = np.random.default_rng(classes)
    labels, guesses = random.integers(classes, size=(2, 300))
    constant = np.zeros_like(guesses)
    for said, expected in ((guesses, matthews_corrcoef(labels, guesses)), (constant, 0.0)):
        score = resampled_metric(labels, said[None], None, "multiclass")
        assert score(np.ones((1, 300)))[0] == pytest.approx(expected, abs=1e-6)


def tied(random, rows=60):
    """Return labels of two classes and values of which many are equal."""
    labels = (random.random(rows) < 0.3).astype(int)
    return labels, np.round(random.normal(size=rows) + 0.7 * labels, 1)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(area, roc_auc_score), (average_precision, average_precision_score)]
)
def test_areas_of_a_draw_are_those_of_its_rows_repeated(ours, theirs):
    random = np.random.default_rng(3)
    labels, values = tied(random)
    draws = np.stack([np.bincount(d, minlength=60) for d in random.integers(60, size=(30, 60))])
    repeated = [np.repeat(np.arange(60), draw) for draw in draws]
    expected = [theirs(labels[rows], values[rows]) for rows in repeated]
    np.testing.assert_allclose(ours(labels, values)(draws.astype(np.float32)), expected, atol=1e-12)


def test_a_rank_correlation_of_a_draw_is_that_of_its_rows_repeated():
    random = np.random.default_rng(4)
    labels, values = tied(random)
    classes = random.integers(5, size=60) + labels
    draws = np.stack([np.bincount(d, minlength=60) for d in random.integers(60, size=(30, 60))])
    repeated = [np.repeat(np.arange(60), draw) for draw in draws]
    expected = [spearmanr(values[rows], classes[rows])[0] for rows in repeated]
    np.testing.assert_allclose(rank_correlation(values, classes)(draws), expected, atol=1e-12)


def test_without_a_positive_or_a_second_rank_there_is_no_score():
    labels, values = np.array([1, 0, 0]), np.array([3.0, 1.0, 2.0])
    draws = np.array([[0, 2, 1], [1, 1, 1]], dtype=np.float32)
    np.testing.assert_allclose(average_precision(labels, values)(draws), [np.nan, 1])
    np.testing.assert_allclose(
        rank_correlation(values, labels * 1.0)(draws), [np.nan, 0.8660254038]
    )
