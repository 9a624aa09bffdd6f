"""What a task's summary says of its outputs, which what is trained on it keeps."""

from types import SimpleNamespace

import pytest

from dnalm.benchmark.tasks.summary import describe_outputs, name_outputs


@pytest.mark.parametrize(
    ("kind", "classes", "labels", "column", "names"),
    [
        ("binary", 2, None, "label", None),
        ("binary", 2, {"background": 0, "promoter": 1}, "label", ["background", "promoter"]),
        ("multiclass", 3, {"a": 0, "b": 2, "c": 2}, "label", ["a", "1", "b|c"]),
        ("multilabel", 2, {"no": 0, "yes": 1}, ["dnase", "ctcf"], ["dnase", "ctcf"]),
        ("multilabel", 2, {"no": 0, "yes": 1}, "label", None),
        ("regression", 2, None, ["activity", "noise"], ["activity", "noise"]),
        ("regression", 1, None, "label", None),
        ("per_base", 2, {".": 0, "#": 1}, "label", [".", "#"]),
    ],
)
def test_outputs_are_named_by_labels_and_columns(kind, classes, labels, column, names):
    facts = SimpleNamespace(kind=kind, classes=classes, labels=labels, label_column=column)
    assert name_outputs(facts) == names


def test_a_summary_of_before_there_were_names_has_none():
    described = describe_outputs({"kind": "binary", "classes": 2, "rows": {}})
    assert described == {"kind": "binary", "classes": 2, "names": None, "lengths": None}
