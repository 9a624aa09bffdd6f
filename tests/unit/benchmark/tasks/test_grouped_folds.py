"""Folds of whole groups of rows, held against scikit-learn; given validation rows; refusals."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.tasks.folds import CrossValidationConfig
from dnalm.benchmark.tasks.grouped_folds import assign_groups, read_groups
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import make_task
from dnalm.errors import InputError

TASK = {
    "format": "auto",
    "kind": "binary",
    "classes": 2,
    "sequence_column": "sequence",
    "label_column": "label",
    "shuffle_labels": False,
    "seed": 42,
}


def section(scheme, group="chromosome", splits=3, validation=("validation",)):
    shares = {"validation_share": 0.1, "seed": 42}
    return {"scheme": scheme, "splits": splits, "group": group, "validation": validation, **shares}


def rows_of(groups, seed=1):
    """Return a different sequence for each group of a row, with labels 0 and 1 in turn."""
    draw = random.Random(seed)
    return pd.DataFrame(
        {
            "sequence": ["".join(draw.choices("ACGT", k=30)) for _ in groups],
            "label": [i // 2 % 2 for i in range(len(groups))],
            "chromosome": groups,
        }
    )


def write(table, path):
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return str(path)


@pytest.fixture
def make(tmp_path):
    def make(groups, cross_validation, name="train.csv", validation=None, **changes):
        train = rows_of(groups)
        files = {"test": write(rows_of(["t"] * 4, 2), tmp_path / "test.csv")}
        files["train"] = write(changes.pop("table", train), tmp_path / name)
        if validation:
            files["validation"] = write(rows_of(validation, 3), tmp_path / "validation.csv")
        return make_task(files, {**TASK, **changes}, "mine.x", cross_validation)

    return make


def parts(table):
    """Return [(training ids, validation ids)] of each split."""
    ids = table["id"].to_numpy()
    return [
        (set(ids[split.training]), set(ids[split.validation])) for split in Splits(table, "binary")
    ]


@pytest.mark.parametrize("seed", range(5))
def test_group_kfold_is_balanced_as_scikit_learns_and_no_group_is_in_two_folds(seed):
    draw = np.random.default_rng(seed)
    groups = [f"g{g}" for g in draw.choice(40, 500, p=draw.dirichlet(np.ones(40)))]
    config = CrossValidationConfig.of(section("grouped", splits=7))
    dealt = assign_groups(groups, groups, config)
    folds = np.array([fold for (fold,) in dealt.folds])
    peers = GroupKFold(7).split(groups, groups=groups)
    assert sorted(np.bincount(folds)) == sorted(len(held) for _, held in peers)
    of_group = dict(zip(groups, folds, strict=True))
    assert [of_group[group] for group in groups] == folds.tolist()


def test_leave_one_group_out_is_scikit_learns(make):
    groups = ["chr2"] * 6 + ["chr10"] * 4 + ["chr1"] * 8 + ["chrX"] * 4
    table, summary = make(groups, section("leave_one_group_out", splits=2))
    ids = table["id"].to_numpy()
    peers = LeaveOneGroupOut().split(groups, groups=groups)
    expected = {(frozenset(ids[train]), frozenset(ids[held])) for train, held in peers}
    assert {(frozenset(t), frozenset(v)) for t, v in parts(table)} == expected
    assert summary["cross_validation"] == {
        "scheme": "leave_one_group_out",
        "splits": 4,
        "group": "chromosome",
        "groups": [["chr1"], ["chr10"], ["chr2"], ["chrX"]],
    }


@pytest.mark.parametrize("name", ["train.tsv", "train.parquet"])
def test_the_format_of_a_file_changes_no_fold(make, name):
    groups = [*"aaaabbbbccccdddd", *"eeee"]
    table, _ = make(groups, section("grouped"))
    assert not {"group", "chromosome"} & set(table)
    again, _ = make(groups, section("grouped"), name=name)
    assert again["folds"].tolist() == table["folds"].tolist()


def test_numbers_are_groups_as_well(make):
    numbers = [1, 2, 3] * 8
    as_texts, _ = make([str(number) for number in numbers], section("grouped"))
    as_numbers, _ = make(numbers, section("grouped"), name="train.parquet")
    assert as_numbers["folds"].tolist() == as_texts["folds"].tolist()


@pytest.mark.parametrize("missing", ["NaN", "NA", "null", "<NA>", None])
@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
@pytest.mark.parametrize("scheme", ["grouped", "leave_one_group_out", "given"])
def test_a_missing_group_is_none_whatever_writes_it(make, missing, name, scheme):
    groups = ["a", "a", "b", "b", "validation", missing] * 4
    with pytest.raises(InputError, match=r"train\.\w+, row 6 has no value in the column 'chromos"):
        make(groups, section(scheme), name=name)


def test_a_group_has_one_name_in_every_format(make):
    """Floats, as pandas makes of whole numbers with a gap, bytes, and blanks around."""
    expected, _ = make(["1", "2", "3"] * 8, section("grouped"))
    for name, groups in {
        "floats.parquet": [1.0, 2.0, 3.0] * 8,
        "floats.csv": [1.0, 2.0, 3.0] * 8,
        "bytes.parquet": [b"1", b"2", b"3"] * 8,
        "blanks.parquet": ["1 ", " 2", "3", "1", "2", "3\t"] * 4,
    }.items():
        found, summary = make(groups, section("grouped"), name=name)
        assert found["folds"].tolist() == expected["folds"].tolist(), name
        assert {name for (name,) in summary["cross_validation"]["groups"]} == {"1", "2", "3"}


def test_a_given_group_that_no_row_has_is_named(make):
    with pytest.raises(InputError, match=r"no training row is of the group 'chr22' of .*'a', 'b'"):
        make(["a", "a", "b", "b"] * 4, section("given", validation=["b", "chr22"]))


def test_rows_of_validation_files_never_train_whatever_else_is_given(make):
    cross_validation = section("given", validation=["b"])
    table, _ = make(["a", "b", "b", "a"] * 4, cross_validation, validation=["c"] * 4)
    held = {f"train.{i}" for i in range(20) if i % 4 in (1, 2) or i >= 16}
    assert {frozenset(validation) for _, validation in parts(table)} == {frozenset(held)}


def test_given_rows_validate_in_every_split_and_all_others_train(make):
    groups = ["train", "validation", "validation", "train"] * 6
    table, summary = make(groups, section("given", splits=4))
    held = {f"train.{i}" for i in range(24) if i % 4 in (1, 2)}
    others = {f"train.{i}" for i in range(24)} - held
    assert parts(table) == [(others, held)] * 4
    assert summary["cross_validation"]["splits"] == 4
    chosen, _ = make(["1", "8", "8", "3"] * 6, section("given", validation=[8]))
    assert parts(chosen) == [(others, held)] * 3


def test_rows_of_validation_files_are_those_that_validate(make):
    table, summary = make(["a"] * 8, section("given", group=None), validation=["b"] * 4)
    assert summary["rows"] == {"train": 12, "test": 4}
    held = {f"train.{i}" for i in range(8, 12)}
    assert parts(table) == [({f"train.{i}" for i in range(8)}, held)] * 3
    assert [source["role"] for source in summary["sources"]] == ["test", "train", "validation"]


def test_shuffled_labels_leave_the_folds_as_they_are(make):
    groups = [*"abc"] * 8
    table, _ = make(groups, section("grouped"))
    shuffled, _ = make(groups, section("grouped"), shuffle_labels=True)
    assert shuffled["folds"].tolist() == table["folds"].tolist()
    assert shuffled["label"].tolist() != table["label"].tolist()


@pytest.mark.parametrize(
    ("groups", "cross_validation", "sentence"),
    [
        ("aaaabbbb", section("grouped"), "of 2 groups .a, b. by the column 'chromosome', fewer "
         "than the 3 splits of cross_validation: lower cross_validation.splits"),
        ("aaaaaaaa", section("leave_one_group_out"), "of 1 groups .a. .* fewer than 2, one "
         "to leave"),
        ("abcabca ", section("grouped"), "train.csv, row 8 has no value in the column "
         "'chromosome'"),
        ("abcabcab", section("grouped", group="chr"), "train.csv has no column 'chr', its columns "
         "are 'sequence', 'label', 'chromosome': set cross_validation.group"),
        ("aabbccdd", section("leave_one_group_out"), "the validation part of split 0 .which holds "
         "out a. has 2 rows, and no row of class 1: take other groups"),
        ("abababab", section("given"), "none of the 8 training rows are of the given validation "
         "set .their groups: 'a', 'b'.: correct cross_validation.validation"),
        ("aaaaaaaa", section("given", validation=["a"]), "all of the 8 training rows are"),
        ("aaaaaaaa", section("given", group=None), "none of the 8 training rows are"),
    ],
)  # fmt: skip
def test_splits_that_cannot_be_made_are_one_sentence(make, groups, cross_validation, sentence):
    with pytest.raises(InputError, match=r"(?s)\A(?!.*\n).*" + sentence):
        make([group.strip() for group in groups], cross_validation)


def test_a_split_whose_training_part_lacks_a_class_is_named(make):
    table = rows_of([*"aaabbbccc"]).assign(label=[0, 0, 1, 0, 0, 0, 0, 0, 0])
    with pytest.raises(InputError, match=r"training part of split 0 .* no row of class 1"):
        make([], section("leave_one_group_out"), table=table)


def test_targets_that_are_constant_in_a_split_are_named(make):
    table = rows_of([*"aaabbbccc"]).assign(label=[1.5, 2.5, 3.5, 4, 4, 4, 1, 2, 3])
    kind = {"kind": "regression", "classes": 1}
    with pytest.raises(InputError, match=r"validation part .*holds out b.*in which no target diff"):
        make([], section("leave_one_group_out"), table=table, **kind)


def test_fasta_has_no_column_to_group_by(make, tmp_path):
    records = [f">{i} {i % 2}\n{s}\n" for i, s in enumerate(rows_of(["a"] * 8)["sequence"])]
    (tmp_path / "x.fa").write_text("".join(records))
    files = {"train": str(tmp_path / "x.fa"), "test": str(tmp_path / "x.fa")}
    task = TASK | {"label_pattern": r"(\d)$"}
    with pytest.raises(InputError, match=r"x\.fa is FASTA, which has no column 'chromosome'"):
        make_task(files, task, "mine.x", section("grouped"))


def test_splits_of_given_rows_differ_where_a_probe_draws_its_first_weights(make):
    table, _ = make([*["train"] * 8, *["validation"] * 4] * 4, section("given"))
    settings = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
    counts = np.array([[text.count(base) for base in "ACGT"] for text in table["sequence"]])
    features = {"layer.1": counts.astype(np.float32)}
    search = {"units": [4, 8], "trials": 2, "together": 2, "epochs": 3, "prune_after": None}
    regression = probe(features, table, "binary", ProbeConfig(**settings["probe"]), 1)
    network = mlp_probe(features, table, "binary", MlpConfig(**settings["mlp"] | search), 1, None)
    first, *others = regression.fitted.values()
    assert len(others) == 2
    for other in others:
        for name, array in first.items():
            np.testing.assert_allclose(other[name], array, rtol=1e-5, err_msg=name)
    weights = [state["weight.0"] for state in network.fitted.values()]
    assert not np.array_equal(weights[0], weights[1])


def test_groups_of_parquet_are_texts_also_as_bytes_and_lists_are_none(tmp_path):
    path = str(tmp_path / "x.parquet")
    pd.DataFrame({"group": [b"chr1", None]}).to_parquet(path)
    assert read_groups(path, "auto", "group") == ["chr1", ""]
    pd.DataFrame({"group": [["chr1", "chr2"]]}).to_parquet(path)
    with pytest.raises(
        InputError, match=r"x.parquet: the column 'group' holds lists or structures"
    ):
        read_groups(path, "auto", "group")
