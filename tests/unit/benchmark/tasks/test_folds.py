"""Splits of training rows: each row once, classes in equal shares, equal sequences together."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from dnalm.benchmark.tasks.folds import CrossValidationConfig, assign_folds, canonical
from dnalm.errors import InputError


def config(scheme="kfold", splits=5, share=0.1, seed=42):
    section = {"scheme": scheme, "splits": splits, "validation_share": share, "seed": seed}
    return CrossValidationConfig.of(section)


def random_sequences(number, length=40, seed=0):
    random = np.random.default_rng(seed)
    return ["".join(row) for row in random.choice(list("ACGT"), (number, length))]


def test_canonical_is_the_same_for_both_strands():
    assert canonical("AACGN") == canonical("NCGTT") == "AACGN"


def test_kfold_has_each_row_in_exactly_one_split_with_scikit_learns_class_counts():
    labels = [0] * 61 + [1] * 29 + [2] * 15
    sequences = random_sequences(len(labels))
    folds = assign_folds(sequences, labels, config())
    assert all(len(row) == 1 for row in folds)
    dealt = np.array([row[0] for row in folds])
    peers = StratifiedKFold(5).split(np.zeros(len(labels)), labels)
    sizes = {tuple(np.bincount(np.array(labels)[test], minlength=3)) for _, test in peers}
    ours = {tuple(np.bincount(np.array(labels)[dealt == f], minlength=3)) for f in range(5)}
    for label in range(3):
        assert {size[label] for size in ours} == {size[label] for size in sizes}
    assert max(np.bincount(dealt)) - min(np.bincount(dealt)) <= 1


@pytest.mark.parametrize("scheme", ["kfold", "shuffle"])
def test_equal_sequences_on_either_strand_share_every_split(scheme):
    first, second, *others = random_sequences(60)
    # Rows 0, 1 and 2 are one group, rows 3 and 4 another; the labels of a group may differ.
    turned = first.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    sequences = [first, turned, first, second, second, *others]
    labels = [0, 0, 1, 1, 1] + [0, 1] * (len(others) // 2)
    folds = assign_folds(sequences, labels, config(scheme, splits=10, share=0.2))
    assert folds[0] == folds[1] == folds[2]
    assert folds[3] == folds[4]


def test_shuffle_draws_the_asked_share_of_each_class_anew_in_each_split():
    labels = [0] * 200 + [1] * 50
    folds = assign_folds(random_sequences(250), labels, config("shuffle", splits=10))
    sets = []
    for fold in range(10):
        rows = [row for row, held in enumerate(folds) if fold in held]
        assert [sum(labels[row] == label for row in rows) for label in (0, 1)] == [20, 5]
        sets.append(frozenset(rows))
    assert len(set(sets)) == 10


@pytest.mark.parametrize("scheme", ["kfold", "shuffle"])
def test_the_seed_decides_and_nothing_else(scheme):
    sequences, labels = random_sequences(80), [0, 1] * 40
    first = assign_folds(sequences, labels, config(scheme))
    assert first == assign_folds(sequences, labels, config(scheme))
    assert first != assign_folds(sequences, labels, config(scheme, seed=43))


def test_too_few_sequences_of_a_class_is_one_sentence():
    labels = [0] * 20 + [1] * 3
    with pytest.raises(InputError, match=r"Class 1 has 3 different .* lower cross_validation"):
        assign_folds(random_sequences(23), labels, config())
    same = [*random_sequences(20), "ACGTT", "ACGTT", "AACGT"]
    with pytest.raises(InputError, match="Class 1 has 1 different"):
        assign_folds(same, labels, config("shuffle"))


def test_unknown_scheme_is_one_sentence():
    with pytest.raises(
        InputError, match="'leave-one-out' is not allowed; choose one of leave_one_group_out, kfold"
    ):
        assign_folds(["A"], [0], config("leave-one-out"))


@pytest.mark.parametrize("scheme", ["kfold", "shuffle"])
def test_rare_strata_are_dealt_together_and_no_row_is_lost(scheme):
    # Ten strata of three rows each, and one of seventy.
    labels = [row // 3 if row < 30 else 10 for row in range(100)]
    folds = assign_folds(random_sequences(100), labels, config(scheme, share=0.2), merge=True)
    for fold in range(5):
        rows = [row for row, held in enumerate(folds) if fold in held]
        assert (sum(row < 30 for row in rows), sum(row >= 30 for row in rows)) == (6, 14)


def test_a_few_rows_of_rare_strata_join_the_commonest():
    labels = [0] * 20 + [1, 2]
    folds = assign_folds(random_sequences(22), labels, config(), merge=True)
    assert all(len(row) == 1 for row in folds)
    with pytest.raises(InputError, match="there are 3 different training sequences, fewer than"):
        assign_folds(random_sequences(3), [0, 1, 2], config(), merge=True)
