"""Labelled FASTA, CSV and Parquet files: which text of a header or cell is the label, encodings."""

import codecs
import csv
import gzip
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dnalm.benchmark.tasks.label_cells import infer_kind
from dnalm.benchmark.tasks.row_files import read_labelled
from dnalm.benchmark.tasks.table import make_task
from dnalm.errors import InputError

SHIPPED = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())["task"]
FOLDS = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 42}
SEQUENCE = "ACGTACGTAC"


def read(path, **changes):
    return list(read_labelled(path, "train", SimpleNamespace(**SHIPPED | changes)))


def label_of(tmp_path, header):
    path = tmp_path / "x.fa"
    path.write_text(f">{header}\n{SEQUENCE}\n")
    (row,) = read(path)
    return row.label


@pytest.mark.parametrize(
    ("header", "label"),
    [
        ("s0|-1", "-1"),
        ("s0|+1", "+1"),
        ("s0 -1 ", "-1"),
        ("s0\tlabel=-1", "-1"),
        ("chr1:100-200|1", "1"),
        ("s0_-1", "-1"),
        ("s0|0.5", "0.5"),
        ("s0_-0.5", "-0.5"),
        ("s0 1.5e-05", "1.5e-05"),
        ("promoter_12|1", "1"),
        ("promoter_12_1", "1"),
        ("12_0", "0"),
        ("s0,1", "1"),
        ("0", "0"),
        ("s0|strong", "strong"),
        ("s0|non_enhancer", "non_enhancer"),
        ("s0 0,1,1", "0,1,1"),
        ("s0|0110", "0110"),
        # The digits of a name are no label.
        ("enhancerA1", "enhancerA1"),
        ("chr1:100-200", "100-200"),
        ("s-1", "s-1"),
        ("s0|²", "²"),
    ],
)
def test_the_label_of_a_header_is_all_behind_its_last_separator(tmp_path, header, label):
    assert label_of(tmp_path, header) == label


def test_any_number_behind_any_separator_is_read_with_its_sign_and_fraction(tmp_path):
    random = np.random.default_rng(7)
    for _ in range(200):
        number = random.choice([random.integers(-999, 999), round(random.normal(), 4)])
        text = str(number.item()) if number % 1 else str(int(number))
        name = "".join(random.choice(list("abcXYZ019._-"), 6))
        separator = str(random.choice(["|", " ", "\t", "=", ":", ";"]))
        assert label_of(tmp_path, f"{name}{separator}{text}") == text


@pytest.mark.parametrize("header", ["s0|", "", "s0: "])
def test_a_header_that_ends_without_a_label_is_refused(tmp_path, header):
    with pytest.raises(InputError, match=r"x\.fa, line 1: the header .* does not match"):
        label_of(tmp_path, header)


def test_signed_labels_of_headers_are_three_labels_for_which_a_mapping_is_asked(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text("".join(f">s{i}|{i % 3 - 1}\n{SEQUENCE}\n" for i in range(6)))
    hints = SimpleNamespace(kind=None, classes=None, labels=None)
    with pytest.raises(InputError, match=r'labels: \{"-1": 0, "0": 1, "1": 2\}'):
        infer_kind(read(path), hints, "mine.x")


def test_a_byte_order_mark_of_any_encoding_is_no_part_of_a_column_or_header(tmp_path):
    text = f"sequence,label\n{SEQUENCE},1\n"
    for number, encoding in enumerate(["utf-8", "utf-8-sig", "utf-16"]):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(text.encode(encoding))
        assert [(row.sequence, row.label) for row in read(path)] == [(SEQUENCE, "1")]
        packed = tmp_path / f"{number}.csv.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert [row.label for row in read(packed)] == ["1"]
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE):
        encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-8"
        path = tmp_path / "x.fa"
        path.write_bytes(mark + f">s|1\n{SEQUENCE}\n".encode(encoding))
        assert [(row.sequence, row.label) for row in read(path)] == [(SEQUENCE, "1")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_a_table_that_is_no_utf_8_is_refused_with_its_line_and_the_remedy(tmp_path, encoding):
    path = tmp_path / "x.csv"
    lines = ["sequence,label,note", f"{SEQUENCE},1,plain", f"{SEQUENCE},0,café"]
    path.write_bytes("\n".join(lines).encode(encoding))
    with pytest.raises(InputError, match=r"x\.csv:3: .* not UTF-8 .*: save the file as UTF-8"):
        read(path)


def test_utf_16_without_a_byte_order_mark_is_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(f"sequence,label\n{SEQUENCE},1\n".encode("utf-16-le"))
    with pytest.raises(InputError, match=r"x\.csv holds zero bytes.*UTF-16.*save it as UTF-8"):
        read(path)


def test_a_cell_longer_than_the_default_of_the_csv_module_is_read(tmp_path):
    sequence = "ACGT" * 50_000
    assert len(sequence) > 131_072
    path = tmp_path / "x.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["sequence", "label", "note"], [sequence, "1", "x" * 200_000]])
    assert [(row.sequence, row.label) for row in read(path)] == [(sequence, "1")]


def test_a_byte_changed_in_gzip_data_is_a_sentence_wherever_it_is(tmp_path):
    lines = [f"{SEQUENCE},{i % 2}" for i in range(50)]
    whole = gzip.compress("\n".join(["sequence,label", *lines]).encode(), mtime=0)
    path = tmp_path / "x.csv.gz"
    for place in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.csv\.gz"):
            read(path)


def test_damaged_notes_of_pandas_in_a_parquet_file_are_not_read(tmp_path):
    table = pa.table({"sequence": [SEQUENCE], "label": [1]})
    notes = {"pandas": '{"index_columns": [{"kind": "range", *name": null'}
    pq.write_table(table.replace_schema_metadata(notes), tmp_path / "x.parquet")
    with pytest.raises(ValueError):  # noqa: PT011
        pd.read_parquet(tmp_path / "x.parquet")
    assert [(row.sequence, row.label) for row in read(tmp_path / "x.parquet")] == [(SEQUENCE, "1")]


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        *((kind, label) for kind in (None, "binary") for label in ("9" * 5000, "²", "٣", "1_0")),
        *((kind, "-" + "9" * 19) for kind in (None, "binary")),
        *(("regression", label) for label in ("9" * 5000, "²", "٣", "1_0")),
    ],
)
def test_odd_numbers_are_no_labels_and_end_in_a_sentence(tmp_path, kind, label):
    path = tmp_path / "x.csv"
    draw = np.random.default_rng(3)
    rows = ["".join(draw.choice(list("ACGT"), 20)) + f",{i % 2}" for i in range(20)]
    path.write_text("\n".join(["sequence,label", *rows, f"{SEQUENCE},{label}"]) + "\n")
    task = {**SHIPPED, "kind": kind, "classes": 1 if kind == "regression" else None}
    with pytest.raises(InputError, match="label"):
        make_task({"train": str(path), "test": str(path)}, task, "mine.x", FOLDS)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "regression", "per_base"])
def test_a_table_without_rows_is_named_also_where_test_rows_are_drawn(tmp_path, kind):
    path = tmp_path / "x.csv"
    path.write_text("sequence,label\n")
    task = {**SHIPPED, "kind": kind, "classes": 2, "test_share": 0.5}
    with pytest.raises(InputError, match=r"mine\.x has no train rows \(.*x\.csv\)"):
        make_task({"train": str(path), "test": []}, task, "mine.x", FOLDS)


def test_a_column_that_is_there_twice_is_named_and_not_chosen(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"sequence,label,label\n{SEQUENCE},1,0\n")
    with pytest.raises(InputError, match=r"x\.csv has 2 columns 'label', and one is to be read"):
        read(path)
    table = pa.Table.from_arrays(
        [pa.array([SEQUENCE])] * 2 + [pa.array([1])], ["sequence"] * 2 + ["label"]
    )
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x\.parquet has 2 columns 'sequence'"):
        read(tmp_path / "x.parquet")


def test_an_encoded_column_of_parquet_is_read_as_a_plain_one(tmp_path):
    plain = pa.table({"sequence": [SEQUENCE] * 3, "label": ["a", None, "b"]})
    encoded = pa.table({name: plain[name].dictionary_encode() for name in plain.column_names})
    for number, table in enumerate((plain, encoded)):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    rows = [read(tmp_path / f"{number}.parquet") for number in range(2)]
    assert [(row.sequence, row.label) for row in rows[0]] == [
        (SEQUENCE, x) for x in ("a", None, "b")
    ]
    assert [(row.sequence, row.label) for row in rows[1]] == [
        (SEQUENCE, x) for x in ("a", None, "b")
    ]


@pytest.mark.parametrize(
    ("pattern", "header", "whole"),
    [
        (r"([0-9]+)\s*$", "s0|-1", "-1"),
        (r"([0-9]+)\s*$", "s0 +1", "+1"),
        (r"([0-9]+)\s*$", "s0|0.5", "0.5"),
        (r"([0-9])$", "s0|12", "12"),
        (r"([0-9]+)$", "s0|1e-5", "1e-5"),
        (r"(-?[0-9]+)$", "s0|1e-5", "1e-5"),
        (r"([0-9])$", "s0|1e+16", "1e+16"),
        (r"\|([0-9]+)", "s0|12.5", "12.5"),
        (r"\|([0-9.]+)", "s0|1.5e+3|x", "1.5e+3"),
        (r"\|([0-9])", "s0|12", "12"),
    ],
)
def test_a_pattern_that_cuts_a_number_short_is_refused(tmp_path, pattern, header, whole):
    path = tmp_path / "x.fa"
    path.write_text(f">{header}\n{SEQUENCE}\n")
    with pytest.raises(InputError, match=rf"x\.fa, line 1: .* of the number '{re.escape(whole)}'"):
        read(path, label_pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "header", "label"),
    [
        (r"([0-9]+)\s*$", "s-1|1", "1"),
        (r"([0-9]+)\s*$", "s0_1", "1"),
        (r"([0-9]+)\s*$", "s-1", "1"),
        (r"-(\d)$", "s 3-1", "1"),
        (r"\.(\d)$", "2.1", "1"),
        (r"(-?\d)$", "s|-1", "-1"),
        (r"^(\d)", "1|-5", "1"),
        (r"\|(\d)", "s|1-5", "1"),
        (r"\|(\d)", "s|3.fa", "3"),
        (r"\|(\d)", "s|3exons", "3"),
        (r"_(\d+)\.", "NM_12.3", "12"),
    ],
)
def test_a_pattern_that_takes_whole_numbers_or_says_what_it_leaves_is_followed(
    tmp_path, pattern, header, label
):
    path = tmp_path / "x.fa"
    path.write_text(f">{header}\n{SEQUENCE}\n")
    assert [row.label for row in read(path, label_pattern=pattern)] == [label]


@pytest.mark.parametrize("kind", [None, "binary"])
def test_classes_that_a_missing_one_made_floats_of_are_those_that_were_meant(tmp_path, kind):
    """Pandas knows no missing whole number: 0 and 1 beside one are 0.0 and 1.0."""
    draw = np.random.default_rng(3)
    table = pd.DataFrame({"sequence": ["".join(draw.choice(list("ACGT"), 20)) for _ in range(21)]})
    table["label"] = [None, *(i % 2 for i in range(20))]
    assert table["label"].dtype == float
    table.to_parquet(tmp_path / "x.parquet")
    table.to_csv(tmp_path / "x.csv", index=False)
    task = {**SHIPPED, "kind": kind, "test_share": 0.3, "missing_labels": "drop"}
    for name in ("x.parquet", "x.csv"):
        for mapping in (None, {"0": 0, "1": 1}, {"0.0": 0, "1.0": 1}, {0: 0, 1: 1}):
            files = {"train": str(tmp_path / name), "test": []}
            rows, summary = make_task(files, {**task, "labels": mapping}, "mine.x", FOLDS)
            assert (summary["kind"], summary["classes"]) == ("binary", 2)
            found = dict(zip(rows["sequence"], rows["label"], strict=True))
            wanted = table.dropna().set_index("sequence")["label"].astype(int).to_dict()
            assert found == wanted


@pytest.mark.parametrize("label", ["0.5", "1.01", "1.", "-1.0", "1.0.0", "1e0"])
def test_any_other_fraction_is_no_class(tmp_path, label):
    path = tmp_path / "x.csv"
    path.write_text(f"sequence,label\n{SEQUENCE},{label}\n")
    task = {**SHIPPED, "kind": "binary"}
    with pytest.raises(InputError, match="row 1 has the label"):
        make_task({"train": str(path), "test": str(path)}, task, "mine.x", FOLDS)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("missing", ["NA", "NaN", "nan", "null", None])
@pytest.mark.parametrize("others", ["refuse", "mask"])
def test_a_sequence_that_is_missing_is_not_read_as_dna(tmp_path, ending, missing, others):
    table = pd.DataFrame({"sequence": [SEQUENCE, missing] * 4, "label": [0, 0, 1, 1] * 2})
    path = tmp_path / f"x.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    task = SHIPPED | {"other_letters": others, "min_bases": None, "test_share": 0.5}
    with pytest.raises(InputError, match="row 2 has an empty sequence"):
        make_task({"train": [str(path)]}, task, "mine.x", FOLDS)


def test_a_record_of_the_letters_na_is_dna_and_so_are_those_of_nat(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sequence,label\nNAT,0\nnat,1\n")
    assert [row.sequence for row in read(path)] == ["NAT", "nat"]
    path = tmp_path / "x.fa"
    path.write_text(">a|0\nNA\n")
    assert [row.sequence for row in read(path)] == ["NA"]


def test_text_that_a_writer_of_parquet_stored_as_bytes_is_text(tmp_path):
    rows = {"sequence": [SEQUENCE.encode()], "label": [b"strong"]}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    (row,) = read(tmp_path / "x.parquet")
    assert (row.sequence, row.label) == (SEQUENCE, "strong")


def test_the_columns_most_like_the_one_that_lacks_come_first(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(",".join([*(f"c{i}" for i in range(20)), "Sequence", "label"]) + "\n")
    with pytest.raises(InputError, match="no column 'sequence', its columns are 'Sequence', 'c0'"):
        read(path)
    with pytest.raises(InputError, match="known formats: parquet, auto"):
        read(path, format="parqet")


def test_the_labels_most_like_an_unknown_one_come_first(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"sequence,label\n{SEQUENCE},promotor\n")
    labels = {**{f"type {i}": i for i in range(20)}, "promoter": 20}
    with pytest.raises(
        InputError, match=r"\(it lists promoter, type 0, .*, \.\.\.\): add it there"
    ):
        make_task({"train": str(path), "test": []}, {**SHIPPED, "labels": labels}, "m.x", FOLDS)


@pytest.mark.parametrize("unit", ["a", "a_", "a1_", "|", "a,", "1,", "_1", " ", "-", "\u00e9"])
def test_a_header_of_any_length_is_searched_in_no_time(unit):
    """A file whose line ends were lost is one header; a search of quadratic cost would not end."""
    pattern, text = re.compile(SHIPPED["label_pattern"]), unit * (100_000 // len(unit))
    # Quadratic cost would take ten minutes of these, and pytest would be killed.
    for end in ("", "|", " x", "_1"):
        match = pattern.search(text + end)
        assert match is None or text.endswith(match[1][-1]) or end.endswith(match[1][-1])


def test_a_pattern_whose_group_takes_no_part_in_a_match_is_no_match(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(f">b1\n{SEQUENCE}\n")
    with pytest.raises(InputError, match="line 1: the header '>b1' does not match `label_pattern`"):
        read(path, label_pattern="(a)?b")


@pytest.mark.parametrize("label", ["1e308", "-1.5e101"])
def test_a_target_whose_square_is_no_number_is_refused(tmp_path, label):
    path = tmp_path / "x.csv"
    path.write_text(f"sequence,label\n{SEQUENCE},{label}\n")
    task = {**SHIPPED, "kind": "regression", "classes": 1}
    with pytest.raises(InputError, match=r"row 1 has the label .*, whose square no computer holds"):
        make_task({"train": str(path), "test": str(path)}, task, "mine.x", FOLDS)


NESTED = {
    "tokens": pa.array([list(SEQUENCE)]),
    "structure": pa.array([{"dna": SEQUENCE}]),
    "map": pa.array([[("dna", SEQUENCE), ("rna", "")]], pa.map_(pa.string(), pa.string())),
}


@pytest.mark.parametrize("kind", NESTED)
def test_sequences_of_parquet_that_are_no_texts_are_refused(tmp_path, kind):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"sequence": NESTED[kind], "label": [1]}), path)
    with pytest.raises(InputError, match=r"x.parquet: the column 'sequence' holds lists or struct"):
        read(path)


@pytest.mark.parametrize("kind", NESTED)
def test_labels_of_parquet_that_hold_several_values_are_named_as_they_stand(tmp_path, kind):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"sequence": [SEQUENCE], "label": NESTED[kind]}), path)
    with pytest.raises(InputError, match=r"all its rows have the label .*('?dna|'A')"):
        infer_kind(read(path), SimpleNamespace(kind=None, classes=None, labels=None), "mine.x")


def test_a_row_that_a_quotation_mark_in_an_unread_column_swallows_is_not_lost(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f'note,sequence,label\n"x,{SEQUENCE},1\ny",{SEQUENCE},0\n')
    with pytest.raises(InputError, match="line 2: a quotation mark swallows the rows up to line 3"):
        read(path)


@pytest.mark.parametrize("name", ["x.CSV", "x.Csv.GZ", "x.csv.gz"])
def test_an_ending_is_known_in_any_case(tmp_path, name):
    text = f"sequence,label\n{SEQUENCE},1\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name[5:] else text)
    assert [(row.sequence, row.label) for row in read(tmp_path / name)] == [(SEQUENCE, "1")]
