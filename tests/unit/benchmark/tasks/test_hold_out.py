"""Test rows drawn from one file, where what they are drawn by is rare."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.tasks.folds import hold_out
from dnalm.errors import InputError


def table_of(labels):
    letters = np.random.default_rng(3).choice(list("ACGT"), (len(labels), 30))
    return pd.DataFrame({"sequence": ["".join(row) for row in letters], "label": labels})


def test_one_row_of_rare_labels_is_dealt_with_the_commonest():
    labels = [[1, 0]] * 11 + [[0, 1]]
    drawn = hold_out(table_of(labels), "multilabel", 0.25, 42)
    assert list(drawn["split"]) == ["train"] * 9 + ["test"] * 3
    assert sorted(map(tuple, drawn["label"])) == sorted(map(tuple, labels))


@pytest.mark.parametrize(
    ("kind", "labels", "share", "sentence"),
    [
        ("binary", [0] * 9 + [1], 0.2, "1 different sequences of class 1 are too .* share of 0.2"),
        ("binary", [0] * 9 + [1] * 2, 0.9, "2 different sequences of class 1 .* of 0.9"),
        ("regression", [0.5], 0.2, "1 different sequences are too few"),
    ],
)
def test_too_few_rows_are_said_with_the_key_that_asks_for_them(kind, labels, share, sentence):
    with pytest.raises(InputError, match=f"{sentence}.*change test_share") as caught:
        hold_out(table_of(labels), kind, share, 42)
    assert "cross_validation" not in str(caught.value)
