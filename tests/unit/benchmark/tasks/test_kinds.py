"""Tables of multilabel, regression and per-base tasks: how labels are written, counted, refused."""

import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnalm.benchmark.tasks.kinds import label_array
from dnalm.benchmark.tasks.table import make_task, read_task, write_task
from dnalm.errors import InputError

FOLDS = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 42}
TASK = {
    "format": "auto",
    "sequence_column": "sequence",
    "label_column": "label",
    "label_separator": ",",
    "shuffle_labels": False,
    "seed": 42,
}
MULTILABEL = {"kind": "multilabel", "classes": 3}
REGRESSION = {"kind": "regression", "classes": 2}
PER_BASE = {"kind": "per_base", "classes": 3}
ROWS = 8


def sequences_of(number, seed, length=20):
    draw = random.Random(seed)
    return ["".join(draw.choices("ACGT", k=length)) for _ in range(number)]


def flags_of(row):
    return [row % 2, row // 2 % 2, int(row % 3 == 0)]


def targets_of(row):
    return [row / 8, -3.0 * row]


def bases_of(row):
    return [(place + row) % 3 for place in range(20)]


def write(path, labels, header="sequence\tlabel", seed=1):
    lines = [
        "\t".join([s, *cells]) for s, cells in zip(sequences_of(ROWS, seed), labels, strict=True)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def make(folder, cells, header="sequence\tlabel", **changes):
    """Make a task whose row i has the cells that `cells` gives for it."""
    labels = [list(cells(row)) for row in range(ROWS)]
    files = {
        s: write(folder / f"{s}.tsv", labels, header, i) for i, s in enumerate(("train", "test"))
    }
    return make_task(files, {**TASK, **changes}, "mine.x", FOLDS)


def labels_of(table, kind):
    return label_array(table, kind)[:ROWS].tolist()


@pytest.mark.parametrize(
    ("write_cell", "separator"),
    [
        (lambda flags: ",".join(map(str, flags)), ","),
        (lambda flags: " ; ".join(map(str, flags)), ";"),
        (lambda flags: "  ".join(map(str, flags)), " "),
        (lambda flags: "".join(map(str, flags)), ","),
        (lambda flags: "".join(map(str, flags)), None),
        (str, ","),  # a Python list as pandas writes it
    ],
)
def test_flags_in_one_cell_are_read_however_they_are_parted(tmp_path, write_cell, separator):
    table, summary = make(
        tmp_path, lambda row: [write_cell(flags_of(row))], **MULTILABEL, label_separator=separator
    )
    assert labels_of(table, "multilabel") == [flags_of(row) for row in range(ROWS)]
    assert summary["rows_per_class"] == {"train": [4, 4, 3], "test": [4, 4, 3]}
    assert summary["targets"] is summary["bases_per_class"] is None


def test_flags_and_targets_in_columns_of_their_own_are_read_in_the_order_given(tmp_path):
    columns = {"header": "sequence\ta\tb\tc", "label_column": ["c", "a", "b"]}
    table, _ = make(tmp_path, lambda row: list(map(str, flags_of(row))), **columns, **MULTILABEL)
    expected = [[flags_of(row)[i] for i in (2, 0, 1)] for row in range(ROWS)]
    assert labels_of(table, "multilabel") == expected
    columns = {"header": "sequence\ta\tb", "label_column": ["a", "b"]}
    table, summary = make(tmp_path, lambda row: map(str, targets_of(row)), **columns, **REGRESSION)
    assert labels_of(table, "regression") == [targets_of(row) for row in range(ROWS)]
    assert summary["targets"]["train"] == [
        {"min": 0.0, "mean": 3.5 / 8, "max": 7 / 8},
        {"min": -21.0, "mean": -10.5, "max": 0.0},
    ]
    assert summary["rows_per_class"] is None


def test_targets_of_one_cell_and_a_single_target_are_read(tmp_path):
    table, _ = make(tmp_path, lambda row: ["{}, {}".format(*targets_of(row))], **REGRESSION)
    assert labels_of(table, "regression") == [targets_of(row) for row in range(ROWS)]
    table, _ = make(tmp_path, lambda row: [f"{row}e-3"], kind="regression", classes=1)
    assert labels_of(table, "regression") == [[float(f"{row}e-3")] for row in range(ROWS)]


def test_bases_have_a_digit_each_and_those_that_are_n_have_no_label(tmp_path):
    table, summary = make(tmp_path, lambda row: ["".join(map(str, bases_of(row)))], **PER_BASE)
    assert labels_of(table, "per_base") == [bases_of(row) for row in range(ROWS)]
    assert sum(summary["bases_per_class"]["train"]) == ROWS * 20
    parted, _ = make(tmp_path, lambda row: [",".join(map(str, bases_of(row)))], **PER_BASE)
    assert labels_of(parted, "per_base") == labels_of(table, "per_base")
    path = tmp_path / "train.tsv"
    lines = path.read_text().splitlines()
    lines[1] = f"NNR{lines[1][3:]}"
    path.write_text("\n".join(lines) + "\n")
    files = {"train": str(path), "test": str(tmp_path / "test.tsv")}
    table, summary = make_task(files, {**TASK, **PER_BASE}, "mine.x", FOLDS)
    assert labels_of(table, "per_base")[0] == [-1, -1, -1, *bases_of(0)[3:]]
    assert sum(summary["bases_per_class"]["train"]) == ROWS * 20 - 3


@pytest.mark.parametrize(
    ("task", "values"), [(MULTILABEL, flags_of), (REGRESSION, targets_of), (PER_BASE, bases_of)]
)
def test_lists_of_a_parquet_file_are_read_and_written(tmp_path, task, values):
    files = {}
    for seed, split in enumerate(("train", "test")):
        frame = {"sequence": sequences_of(ROWS, seed), "label": list(map(values, range(ROWS)))}
        files[split] = str(tmp_path / f"{split}.parquet")
        pd.DataFrame(frame).to_parquet(files[split])
    table, summary = make_task(files, {**TASK, **task}, "mine.x", FOLDS)
    assert labels_of(table, task["kind"]) == [values(row) for row in range(ROWS)]
    write_task(table, summary, tmp_path / "t.parquet", tmp_path / "t.json")
    number = pa.float64() if task is REGRESSION else pa.int8()
    assert pq.read_schema(tmp_path / "t.parquet").field("label").type == pa.list_(number)
    back = read_task(tmp_path / "t.parquet")
    assert labels_of(back, task["kind"]) == labels_of(table, task["kind"])


def test_columns_of_a_parquet_file_are_put_together(tmp_path):
    files = {}
    for seed, split in enumerate(("train", "test")):
        frame = pd.DataFrame(list(map(targets_of, range(ROWS))), columns=["a", "b"])
        files[split] = str(tmp_path / f"{split}.parquet")
        frame.assign(sequence=sequences_of(ROWS, seed)).to_parquet(files[split])
    columns = {**TASK, **REGRESSION, "label_column": ["b", "a"]}
    table, _ = make_task(files, columns, "mine.x", FOLDS)
    assert labels_of(table, "regression") == [targets_of(row)[::-1] for row in range(ROWS)]


@pytest.mark.parametrize(
    ("task", "cell", "sentence"),
    [
        (REGRESSION, "high,1", "row 3 has the label 'high', which is no number: correct the row"),
        (REGRESSION, "1,nan", "row 3 has no label \\(found '1,nan'\\)"),
        (REGRESSION, "1,-inf", "row 3 has the label '-inf', which is no finite number"),
        (REGRESSION, "1", "row 3 has 1 labels, but the task has 2: correct the row, or `classes`"),
        (REGRESSION, ",", "row 3 has no label"),
        (MULTILABEL, "0,1", "row 3 has 2 labels, but the task has 3"),
        (MULTILABEL, "0,1,2", "row 3 has the label 2, but a multilabel task has a 0 or a 1"),
        (MULTILABEL, "0,1,yes", "row 3 has the label 'yes', which is not an integer: map it"),
        (MULTILABEL, "", "row 3 has no label"),
        (PER_BASE, "0120", "row 3 has 4 labels for 20 bases: give one for each base"),
        (PER_BASE, "3" * 20, "row 3 has the label 3, but 3 classes allow only 0 to 2"),
        (PER_BASE, "x" * 20, "row 3 has the label 'x', which is not an integer"),
    ],
)
def test_a_label_of_the_wrong_kind_is_named_with_its_row(tmp_path, task, cell, sentence):
    good = {"regression": targets_of, "multilabel": flags_of, "per_base": bases_of}[task["kind"]]
    with pytest.raises(InputError, match=rf"train\.tsv, {sentence}"):
        make(
            tmp_path,
            lambda row: [cell if row == 2 else ",".join(map(str, good(row)))],
            **task,
        )


def test_values_are_mapped_by_the_config(tmp_path):
    names = {"no": 0, "yes": 1}
    table, _ = make(
        tmp_path,
        lambda row: [",".join(["no", "yes"][flag] for flag in flags_of(row))],
        **MULTILABEL,
        labels=names,
    )
    assert labels_of(table, "multilabel") == [flags_of(row) for row in range(ROWS)]


def test_a_missing_column_of_several_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no column 'b', .*: set `label_column`"):
        make(tmp_path, lambda row: ["1"], label_column=["label", "b"], **REGRESSION)


@pytest.mark.parametrize(
    ("task", "cell", "sentence"),
    [
        (MULTILABEL, "0,1,1", "no label that differs between its 8 train rows"),
        (REGRESSION, "1,2", "no target that differs between its 8 train rows"),
        (PER_BASE, "01" * 10, "3 classes, but no base of its 8 train rows .* is of class 2"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(tmp_path, task, cell, sentence):
    with pytest.raises(InputError, match=f"Task mine.x has {sentence}"):
        make(tmp_path, lambda row: [cell], **task)


def test_a_label_that_no_row_has_is_warned_of_and_kept(tmp_path, caplog):
    table, _ = make(tmp_path, lambda row: [f"{row % 2},0,1"], **MULTILABEL)
    assert "2 of 3 labels of mine.x are the same in all 8 train rows" in caplog.text
    assert labels_of(table, "multilabel")[1] == [1, 0, 1]


def test_folds_hold_equal_shares_of_every_part_of_a_regression(tmp_path):
    files = {}
    for seed, split in enumerate(("train", "test")):
        cells = [[str(row)] for row in np.random.default_rng(seed).permutation(400)]
        lines = ["\t".join([s, *c]) for s, c in zip(sequences_of(400, seed), cells, strict=True)]
        (tmp_path / split).write_text("\n".join(["sequence\tlabel", *lines]) + "\n")
        files[split] = str(tmp_path / split)
    config = {**TASK, "kind": "regression", "classes": 1, "format": "tsv"}
    table, _ = make_task(files, config, "mine.x", {**FOLDS, "splits": 4})
    train = table[table["split"] == "train"]
    for fold in range(4):
        held = label_array(train[[fold in folds for folds in train["folds"]]], "regression")[:, 0]
        assert np.histogram(held, bins=10, range=(0, 400))[0].tolist() == [10] * 10


@pytest.mark.parametrize(
    ("task", "values"), [(MULTILABEL, flags_of), (REGRESSION, targets_of), (PER_BASE, bases_of)]
)
def test_shuffled_labels_keep_what_there_is_and_lose_where_it_was(tmp_path, task, values):
    cells = lambda row: [",".join(map(str, values(row)))]  # noqa: E731
    plain, _ = make(tmp_path, cells, **task)
    shuffled, _ = make(tmp_path, cells, **task, shuffle_labels=True)
    before, after = (labels_of(table, task["kind"]) for table in (plain, shuffled))
    assert before != after
    if task is PER_BASE:  # within each sequence
        assert [sorted(row) for row in before] == [sorted(row) for row in after]
    else:
        assert sorted(before) == sorted(after)
