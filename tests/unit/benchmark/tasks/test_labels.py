"""Labels of every kind as arrays, and the strata in which their rows are dealt to folds."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.tasks.kinds import find_kind, label_array
from dnalm.benchmark.tasks.labels import extremes


@pytest.mark.parametrize(
    ("kind", "cells", "expected", "number"),
    [
        ("binary", [0, 1, 1], [0, 1, 1], np.int64),
        ("multiclass", [0, 2, 1], [0, 2, 1], np.int64),
        ("multilabel", [[0, 1], [1, 1]], [[0, 1], [1, 1]], np.int8),
        ("regression", [[0.5, 2.0], [1.0, -3.0]], [[0.5, 2.0], [1.0, -3.0]], np.float64),
        ("regression", [0.5, 1.0], [[0.5], [1.0]], np.float64),
        ("per_base", [[0, 1, 2], [1], []], [[0, 1, 2], [1, -1, -1], [-1, -1, -1]], np.int8),
        ("per_base", [[127], [-1]], [[127], [-1]], np.int8),
        ("per_base", [[128], [-1]], [[128], [-1]], np.int16),
        ("per_base", [[70_000, 0]], [[70_000, 0]], np.int32),
        ("per_base", [[-1]], [[-1]], np.int8),
        ("per_base", [[], []], [[], []], np.int8),
    ],
)
def test_labels_of_every_kind_have_their_shape_and_type(kind, cells, expected, number):
    found = label_array(pd.DataFrame({"label": cells}), kind)
    assert found.tolist() == expected
    assert found.dtype == number


def test_a_decision_has_the_shape_of_the_labels():
    shares = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert find_kind("binary").decide(shares).tolist() == [1, 0]
    assert find_kind("multilabel").decide(shares).tolist() == [[0, 1], [1, 0]]
    assert find_kind("regression").decide(shares) is shares
    assert find_kind("per_base").decide(shares[None]).tolist() == [[1, 0]]


def test_a_row_of_several_labels_stands_with_its_rarest():
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [1, 0, 0]])
    assert find_kind("multilabel").strata(labels).tolist() == [0, 1, 2, 3, 0]


def test_strata_of_a_regression_are_tenths_of_the_first_target():
    random = np.random.default_rng(0)
    labels = np.stack([random.permutation(1000) * 1.0, random.random(1000)], axis=1)
    found = find_kind("regression").strata(labels)
    assert np.bincount(found).tolist() == [100] * 10
    assert all(labels[found == i, 0].max() < labels[found == i + 1, 0].min() for i in range(9))
    assert set(find_kind("regression").strata(np.ones((5, 1)))) == {9}


def test_strata_of_bases_are_rows_with_and_without_a_labelled_one():
    labels = np.array([[0, 0, -1], [0, 2, 0], [-1, -1, -1]])
    assert find_kind("per_base").strata(labels).tolist() == [0, 1, 0]


def test_what_differs_between_rows_is_told_apart():
    assert find_kind("regression").varying(np.array([[1.0, 2.0], [1.0, 3.0]])).tolist() == [
        False,
        True,
    ]
    assert find_kind("binary").varying(np.array([0, 0])).tolist() == [False]
    assert find_kind("per_base").varying(np.array([[0, -1], [0, 0]])).tolist() == [False]
    assert find_kind("per_base").varying(np.array([[0, -1], [1, 0]])).tolist() == [True]


def test_the_extremes_of_a_row_leave_out_what_has_no_label():
    labels = np.array([[3, 0, -1], [-1, 2, 5], [-1, -1, -1], [1, 1, 1]])
    for number in (np.int8, np.int16, np.int64):
        found = extremes(labels.astype(number))
        assert found.tolist() == [[0, 3], [2, 5], [-1, -1], [1, 1]]
    assert extremes(np.zeros((2, 0), dtype=np.int8)).tolist() == [[-1, -1], [-1, -1]]
    assert find_kind("per_base").varying(labels[2:]).tolist() == [False]
    assert find_kind("per_base").varying(labels[2:3]).tolist() == [False]
