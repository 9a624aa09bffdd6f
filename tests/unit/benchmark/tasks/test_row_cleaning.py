"""Rows that lack a label or hold letters that are no code of DNA: refused, left out or masked."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnalm.benchmark.tasks.row_cleaning import clean_rows
from dnalm.benchmark.tasks.row_files import LabelledRow, read_labelled
from dnalm.errors import InputError

RULES = {
    "kind": None,
    "labels": None,
    "label_separator": ",",
    "missing_labels": "refuse",
    "other_letters": "refuse",
    "min_bases": 6,
}
COLUMNS = SimpleNamespace(
    format="auto", sequence_column="sequence", label_column="label", label_pattern=None
)


def clean(rows, **rules):
    made = [
        LabelledRow(sequence=sequence, label=label, split="train", provenance=f"x.csv, row {row}")
        for row, (sequence, label) in enumerate(rows, start=1)
    ]
    return clean_rows(made, SimpleNamespace(**RULES | rules), "mine.x")


def with_labels(*labels):
    return [("ACGTACGT", label) for label in labels]


@pytest.mark.parametrize("text", ["", "  ", "NA", "nan", "NaN", "null", "None", "<NA>", "N/A"])
def test_a_row_without_a_label_is_refused_or_left_out_and_counted(text, caplog):
    with pytest.raises(
        InputError, match=r"row 2 has no label .* one of 1 such rows among the 3 .*: drop`"
    ):
        clean(with_labels("0", text, "1"))
    with caplog.at_level(logging.WARNING):
        cleaned = clean(with_labels("0", text, "1"), missing_labels="drop")
    assert [row.label for row in cleaned.rows] == ["0", "1"]
    assert cleaned.counts["rows_without_label"] == 1
    assert "mine.x: 1 rows have no label and are left out" in caplog.text


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("regression", "1,nan"),
        ("regression", "1,,2"),
        ("regression", (1.0, float("nan"))),
        ("multilabel", [1, None]),
        ("multilabel", "[0,NA,1]"),
        ("per_base", None),
        (None, None),
    ],
)
def test_one_missing_label_of_several_makes_a_row_incomplete(kind, label):
    whole = [1.0, 2.0] if kind else "1"
    with pytest.raises(InputError, match=r"row 2 has no label"):
        clean(with_labels(whole, label), kind=kind)
    cleaned = clean(with_labels(whole, label), kind=kind, missing_labels="drop")
    assert [row.label for row in cleaned.rows] == [whole]


def test_none_and_na_are_labels_where_the_config_maps_them_and_nan_never_is():
    labels = {"none": 0, "NA": 1, "strong": 2, "nan": 3}
    cleaned = clean(with_labels("none", "NA", "strong"), labels=labels)
    assert len(cleaned.rows) == 3
    with pytest.raises(InputError, match="row 1 has no label"):
        clean(with_labels("nan"), labels=labels)


@pytest.mark.parametrize("labels", [[1, None, 0], [None, 1, 1], [1.5, None, 0.5], ["a", None, "b"]])
def test_a_missing_cell_of_parquet_and_csv_is_missing_and_others_are_as_they_were(tmp_path, labels):
    table = pa.table({"sequence": ["ACGTACGT"] * 3, "label": labels})
    pq.write_table(table, tmp_path / "x.parquet")
    table.to_pandas(integer_object_nulls=True).to_csv(tmp_path / "x.csv", index=False)
    expected = [str(label) for label in labels if label is not None]
    for name in ("x.parquet", "x.csv"):
        rows = list(read_labelled(tmp_path / name, "train", COLUMNS))
        cleaned = clean_rows(rows, SimpleNamespace(**RULES | {"missing_labels": "drop"}), "mine.x")
        assert [row.label for row in cleaned.rows] == expected
        with pytest.raises(InputError, match=rf"{name}, row {labels.index(None) + 1} has no label"):
            clean_rows(rows, SimpleNamespace(**RULES), "mine.x")


def test_uracil_is_read_as_thymine_and_counted(caplog):
    with caplog.at_level(logging.WARNING):
        cleaned = clean([("ACGUACGu", "1"), ("ACGTRYNA", "0")])
    assert cleaned.sequences == ["ACGTACGT", "ACGTNNNA"]
    assert (cleaned.counts["uracil_read_as_t"], cleaned.counts["iupac_replaced"]) == (2, 2)
    assert "mine.x: 2 letters U are read as T" in caplog.text


@pytest.mark.parametrize("text", ["MKVLAEFP", "ACG-ACGT", "ACGT\nACGT", "ACGTAC*T", "ACGT ACGT"])
def test_other_letters_are_refused_left_out_or_read_as_n(text):
    rows = [("ACGTACGT", "1"), (text, "0")]
    with pytest.raises(InputError, match=r"x\.csv, row 2 holds '.*' in its sequence: write DNA"):
        clean(rows)
    dropped = clean(rows, other_letters="drop")
    assert dropped.sequences == ["ACGTACGT"]
    assert dropped.counts["rows_with_other_letters"] == 1
    masked = clean(rows, other_letters="mask")
    assert masked.sequences[1] == "".join(c if c in "ACGT" else "N" for c in text)
    strange = sum(letter not in "ACGTNRYSWKMBDHV" for letter in text)
    assert masked.counts["letters_masked"] == strange


@pytest.mark.parametrize("letter", ["ß", "ŉ", "ﬁ", "é", "Α"])
def test_no_letter_of_another_alphabet_becomes_dna_in_upper_case(letter):
    with pytest.raises(InputError, match=rf"row 1 holds '{letter}' in its sequence"):
        clean([(f"ACGTAC{letter}", "1")])


@pytest.mark.parametrize("choice", ["refuse", "drop", "mask"])
def test_an_empty_sequence_and_one_shorter_than_a_token_are_refused(choice):
    with pytest.raises(InputError, match=r"row 2 has an empty sequence"):
        clean([("ACGTACGT", "1"), (" \t", "0")], other_letters=choice)
    with pytest.raises(InputError, match=r"row 1 has a sequence of 5 bases, shorter than the 6"):
        clean([("ACGTA", "1")], other_letters=choice)
    assert clean([("ACGTAC", "1"), ("A", "1")][:1]).sequences == ["ACGTAC"]
    assert clean([("A", "1")], min_bases=None).sequences == ["A"]


def test_every_mixture_of_good_and_bad_rows_is_sorted_as_a_table_of_pandas_is():
    random = np.random.default_rng(1)
    for _ in range(200):
        labels = random.choice(["0", "1", "", "nan"], 8).tolist()
        sequences = random.choice(["ACGTACGT", "UUGGCCAA", "AC-TACGT", "acgtnryk"], 8).tolist()
        frame = pd.DataFrame({"label": labels, "sequence": sequences})
        known = frame[~frame["label"].isin(["", "nan"])]
        good = known[~known["sequence"].str.contains("-")]
        found = clean(
            zip(sequences, labels, strict=True), missing_labels="drop", other_letters="drop"
        )
        assert [row.label for row in found.rows] == good["label"].tolist()
        assert found.counts["rows_without_label"] == len(frame) - len(known)
        assert found.counts["rows_with_other_letters"] == len(known) - len(good)
        assert found.counts["uracil_read_as_t"] == good["sequence"].str.count("U").sum()
