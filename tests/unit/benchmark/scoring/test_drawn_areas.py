"""The area under the ROC curve of drawn rows, beside scikit-learn's of weighted rows."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dnalm.benchmark.scoring.resampled_metrics import area, resampled_metric

DRAWS = 40


def draw(rows, seed):
    generator = np.random.default_rng(seed)
    return generator.multinomial(rows, np.full(rows, 1 / rows), DRAWS).astype(np.float32)


@pytest.mark.parametrize("places", [None, 2, 1, 0])  # 1: many rows have the same value; 0: two
@pytest.mark.parametrize("rows", [30, 500])
def test_areas_are_those_of_rows_weighted_by_how_often_they_were_drawn(rows, places):
    generator = np.random.default_rng(rows)
    truth = (generator.random(rows) < 0.3).astype(np.int64)
    values = generator.random(rows)
    if places is not None:
        values = values.round(places)
    draws = draw(rows, 1)
    expected = [roc_auc_score(truth, values, sample_weight=times) for times in draws]
    np.testing.assert_allclose(area(truth, values)(draws), expected, rtol=0, atol=1e-12)


def test_an_area_is_not_defined_where_a_class_was_not_drawn():
    truth, values = np.array([0, 1, 0]), np.array([0.1, 0.4, 0.4])
    draws = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]], dtype=np.float32)
    np.testing.assert_array_equal(area(truth, values)(draws), [0.75, np.nan, np.nan])


def test_the_mean_over_labels_and_folds_leaves_out_what_is_not_defined():
    generator = np.random.default_rng(0)
    labels = (generator.random((60, 4)) < 0.4).astype(np.int64)
    labels[:, 2] = 0
    outputs = generator.random((3, 60, 4)).astype(np.float32)
    draws = draw(60, 2)
    score = resampled_metric(labels, outputs > 0.5, outputs, "multilabel")
    folds = [
        [roc_auc_score(labels[:, c], fold[:, c], sample_weight=times) for c in (0, 1, 3)]
        for times in draws
        for fold in outputs
    ]
    expected = np.mean(folds, axis=1).reshape(DRAWS, 3).mean(axis=1)
    np.testing.assert_allclose(score(draws), expected, rtol=0, atol=1e-12)
