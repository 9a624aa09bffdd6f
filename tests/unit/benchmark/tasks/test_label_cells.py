"""Kind and classes of a task whose entry does not say them: told by its labels, or asked for."""

from types import SimpleNamespace

import pytest

from dnalm.benchmark.tasks.label_cells import infer_kind
from dnalm.benchmark.tasks.row_files import LabelledRow
from dnalm.errors import InputError


def guess(labels, kind=None, classes=None, mapping=None):
    rows = [
        LabelledRow(sequence="ACGT", label=label, split="train", provenance=f"x, row {i}")
        for i, label in enumerate(labels)
    ]
    meaning = SimpleNamespace(kind=kind, classes=classes, labels=mapping)
    found = infer_kind(rows, meaning, "mine.x")
    return found["kind"], found["classes"]


def test_two_classes_are_binary_and_more_multiclass():
    assert guess(["1", "0", " 1 "]) == ("binary", 2)
    assert guess(["2", "0", "1", "1"]) == ("multiclass", 3)
    assert guess([str(i) for i in range(100)]) == ("multiclass", 100)
    assert guess(["a", "b", "c"], mapping={"a": 0, "b": 1, "c": 1}) == ("binary", 2)


def test_what_is_given_is_kept_and_completed():
    assert guess(["a"], kind="multiclass", classes=5) == ("multiclass", 5)
    assert guess(["a"], kind="binary") == ("binary", 2)
    assert guess(["a"], classes=2) == ("binary", 2)
    assert guess(["a"], classes=4) == ("multiclass", 4)
    assert guess(["0", "1", "2"], kind="multiclass") == ("multiclass", 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            ["yes", "no"],
            r"labels are not .* \('no', 'yes'\): write `labels: \{\"no\": 0, \"yes\": 1\}",
        ),
        (["1", "2"], r"\('1', '2'\): write `labels: \{\"1\": 0, \"2\": 1\}`, in the order"),
        (["0", "2"], r"\('0', '2'\): write `labels"),
        (["0.5", "1.5", "2.5"], r"its 3 different labels .*, or its `kind` and `classes`"),
        (["0", "0"], r"all its rows have the label '0': give rows of another class"),
        (
            [str(i) for i in range(101)],
            r"101 different labels .* \('0', .*, \.\.\.\): .*`kind: regression` and `classes: 1`",
        ),
        (
            [f"seq{i}" for i in range(6)],
            r"6 different labels .*: .* names of the rows, .* `label_column`, .* `label_pattern`",
        ),
    ],
)
def test_labels_that_are_no_class_numbers_are_shown_with_the_remedy(labels, sentence):
    with pytest.raises(InputError, match=rf"Task mine.x does not say its `kind`.*{sentence}"):
        guess(labels)


@pytest.mark.parametrize("mapping", [None, {"0": 0, "1": 1}])
def test_two_classes_are_not_multiclass(mapping):
    sentence = "kind multiclass, but its labels are 2 classes: write `kind: binary` or leave"
    with pytest.raises(InputError, match=rf"Task mine.x is of {sentence}"):
        guess(["0", "1", "1"], kind="multiclass", mapping=mapping)


def test_the_number_of_labels_of_other_kinds_is_asked_for():
    with pytest.raises(InputError, match=r"of kind regression, .*: write `classes`"):
        guess(["0.5"], kind="regression")
