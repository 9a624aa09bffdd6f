"""Splits as row positions."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.tasks.splits import Splits
from dnalm.errors import InputError


def make_table(rows: list[tuple[object, str, list[int]]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label", "split", "folds"])


def test_a_row_is_validation_in_the_splits_it_lists_and_training_in_all_others():
    table = make_table(
        [
            (0, "train", [0]),
            (1, "train", [0, 2]),
            (0, "test", []),
            (1, "train", []),
            (0, "train", [2]),
            (2, "test", []),
        ]
    )
    splits = Splits(table, "multiclass")
    assert splits.folds == [0, 2]
    assert splits[0].training.tolist() == [3, 4]
    assert splits[0].validation.tolist() == [0, 1]
    assert splits[2].training.tolist() == [0, 3]
    assert splits[2].validation.tolist() == [1, 4]
    assert splits.test.tolist() == [2, 5]
    assert splits.classes == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, "train", [0]), (1, "train", [1])], "0 test rows"),
        ([(0, "test", []), (1, "test", [])], "0 training"),
        ([(0, "train", []), (1, "train", []), (0, "test", [])], "belongs to a split"),
        (
            [(0, "train", [0]), (1, "train", [1]), (1, "train", [1]), (0, "test", [])],
            "split 0 holds 2 rows of one class",
        ),
    ],
)
def test_tables_that_cannot_be_probed_end_in_one_sentence(rows, message):
    with pytest.raises(InputError, match=message):
        Splits(make_table(rows), "multiclass")


@pytest.mark.parametrize(
    ("kind", "first", "second", "classes"),
    [
        ("multilabel", [0, 1, 0], [0, 1, 1], 3),
        ("regression", [0.5, 2.0], [0.5, 3.0], 2),
        ("per_base", [0, 0, 2], [0], 3),
    ],
)
def test_labels_of_several_numbers_are_one_array_and_have_to_differ(kind, first, second, classes):
    folds = [(first, [0]), (second, [1]), (first, [1]), (second, [0])]
    rows = [(labels, "train", held) for labels, held in folds]
    table = make_table([*rows, (first, "test", [])])
    splits = Splits(table, kind)
    assert (splits.classes, len(splits.labels), splits.labels.ndim) == (classes, 5, 2)
    table["label"] = [[0.0] * len(cell) for cell in table["label"]]
    with pytest.raises(InputError, match="split 0 holds 2 rows of one"):
        Splits(table, kind)


def test_splits_of_many_bases_take_little_more_memory_than_their_labels():
    labels = np.random.default_rng(0).integers(0, 3, (500, 4000))
    rows = [(bases, "train", [row % 10]) for row, bases in enumerate(labels)]
    table = make_table([*rows, (labels[0], "test", [])])
    tracemalloc.start()
    try:
        splits = Splits(table, "per_base")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * labels.size  # bytes, one a base
    assert (splits.labels[:-1] == labels).all()


def test_what_the_labels_are_has_to_be_said():
    rows = [([0.5], "train", [0]), ([2.5], "train", [1]), ([1.5], "test", [])]
    with pytest.raises(TypeError, match="kind"):
        Splits(make_table(rows))
