"""Labels of any task: what is written in headers, cells and lists is what is read, or refused."""

import csv
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from dnalm.benchmark.tasks.label_cells import read_label
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.benchmark.tasks.row_cleaning import MISSING_TEXTS, MISSING_UNLESS_MAPPED, clean_rows
from dnalm.benchmark.tasks.row_files import read_labelled
from dnalm.errors import InputError

SHIPPED = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())["task"]
# The letters of NA and NaN are DNA in FASTA, and in a table say that there is none.
SEQUENCES = st.text("ACGTN", min_size=1, max_size=12).filter(lambda text: text not in {"NA", "NAN"})
CLASSES = 12
# A class as people and programs write it.
INTEGERS = st.integers(0, CLASSES - 1).flatmap(
    lambda number: st.sampled_from([f"{number}", f"+{number}", f"{number:02}", f" {number} "])
)


@st.composite
def numbers(draw):
    """Return the text of a finite number: signs, decimals and exponents in all their spellings."""
    value = draw(st.floats(-1e100, 1e100) | st.integers(-(10**6), 10**6))
    spelling = draw(st.sampled_from(["{!r}", "{:e}", "{:E}", "{:+}", "{:.3f}", "{:.0f}", "{:g}"]))
    text = spelling.format(value)
    if draw(st.booleans()):  # .5 and 5.
        text = re.sub(r"^([-+]?)0\.(?=[0-9])", r"\1.", text)
    return text


# Names of classes: letters and signs of any script; none that says that a label is missing.
NAMES = (
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=8)
    .map(str.strip)
    .filter(lambda text: text.lower() not in MISSING_TEXTS | MISSING_UNLESS_MAPPED)
)
FORMATS = st.sampled_from(["csv", "tsv", "parquet"])


def write(path, rows, columns, quoting):
    """Write rows as other people's programs do, text as text."""
    table = pd.DataFrame(rows, columns=columns)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        separator = "," if path.suffix == ".csv" else "\t"
        table.to_csv(path, index=False, sep=separator, quoting=quoting)


def read(path, **changes):
    """Return the cleaned sequences and labels of a file, as tasks are made of it."""
    meaning = SimpleNamespace(**{"labels": None, **SHIPPED, "min_bases": 1, **changes})
    cleaned = clean_rows(read_labelled(path, "train", meaning), meaning, "mine.x")
    pairs = zip(cleaned.rows, cleaned.sequences, strict=True)
    return cleaned.sequences, [read_label(row, text, meaning) for row, text in pairs]


def round_trip(rows, kind, columns=("sequence", "label"), *, data, formats=FORMATS, **meaning):
    """Return the labels that are read of what was written, sequences checked."""
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{data.draw(formats)}"
        write(path, rows, columns, quoting)
        sequences, labels = read(path, kind=kind, **meaning)
    assert sequences == [row[0] for row in rows]
    return labels


@given(st.lists(st.tuples(SEQUENCES, INTEGERS), min_size=1, max_size=6), st.data())
def test_a_class_in_a_cell_is_read_as_it_is_written(rows, data):
    found = round_trip(rows, "multiclass", data=data, classes=CLASSES)
    assert found == [int(text) for _, text in rows]


@given(st.lists(st.tuples(SEQUENCES, numbers()), min_size=1, max_size=6), st.data())
def test_a_number_in_a_cell_is_read_as_it_is_written(rows, data):
    found = round_trip(rows, "regression", data=data, classes=1)
    assert [label.tolist() for label in found] == [[float(text)] for _, text in rows]


@given(
    st.lists(st.tuples(SEQUENCES, st.floats(width=32, allow_nan=False, allow_infinity=False))),
    st.sampled_from([np.float64, np.float32]),
)
def test_numbers_of_a_parquet_file_keep_their_value(rows, width):
    assume(rows)
    table = pd.DataFrame(rows, columns=["sequence", "label"]).astype({"label": width})
    with tempfile.TemporaryDirectory() as folder:
        table.to_parquet(Path(folder) / "x.parquet")
        _, found = read(Path(folder) / "x.parquet", kind="regression", classes=1)
    for label, written in zip(found, table["label"], strict=True):
        assert width(label[0]) == written


@given(st.data(), st.integers(1, 4), st.sampled_from([", ", ",", ";", " ", "|"]), st.booleans())
def test_several_numbers_are_read_from_columns_and_from_one_cell(data, count, mark, brackets):
    values = st.lists(numbers(), min_size=count, max_size=count)
    rows = data.draw(st.lists(st.tuples(SEQUENCES, values), min_size=1, max_size=4))
    expected = [[float(text) for text in texts] for _, texts in rows]
    columns = [f"target {number}" for number in range(count)]
    wide = [(sequence, *texts) for sequence, texts in rows]
    options = {"data": data, "classes": count}
    found = round_trip(wide, "regression", ("sequence", *columns), label_column=columns, **options)
    assert [label.tolist() for label in found] == expected
    joined = [
        (text, f"[{mark.join(texts)}]" if brackets else mark.join(texts)) for text, texts in rows
    ]
    separator = mark.strip() or " "
    found = round_trip(joined, "regression", label_separator=separator, **options)
    assert [label.tolist() for label in found] == expected


@given(st.data(), st.integers(2, 5), st.sampled_from([", ", ",", ";", " ", ""]), st.booleans())
def test_flags_are_read_from_columns_lists_and_texts(data, count, mark, brackets):
    flags = st.lists(st.sampled_from("01"), min_size=count, max_size=count)
    rows = data.draw(st.lists(st.tuples(SEQUENCES, flags), min_size=1, max_size=4))
    expected = [[int(flag) for flag in own] for _, own in rows]
    options = {"data": data, "classes": count}
    columns = [f"flag {number}" for number in range(count)]
    wide = [(sequence, *own) for sequence, own in rows]
    found = round_trip(wide, "multilabel", ("sequence", *columns), label_column=columns, **options)
    assert [label.tolist() for label in found] == expected
    joined = [(text, f"[{mark.join(own)}]" if brackets else mark.join(own)) for text, own in rows]
    separator = (mark.strip() or " ") if mark else None
    found = round_trip(joined, "multilabel", label_separator=separator, **options)
    assert [label.tolist() for label in found] == expected
    lists = [(text, [int(flag) for flag in own]) for text, own in rows]
    found = round_trip(lists, "multilabel", formats=st.just("parquet"), **options)
    assert [label.tolist() for label in found] == expected


@given(st.data(), st.sampled_from([",", " ", ""]))
def test_labels_of_bases_are_read_base_for_base_and_unknown_at_n(data, mark):
    rows, expected = [], []
    for sequence in data.draw(st.lists(SEQUENCES, min_size=1, max_size=4)):
        count = 10 if mark == "" else CLASSES
        number = st.integers(0, count - 1)
        own = data.draw(st.lists(number, min_size=len(sequence), max_size=len(sequence)))
        rows.append((sequence, own))
        pairs = zip(sequence, own, strict=True)
        expected.append([NO_LABEL if base == "N" else label for base, label in pairs])
    # One label of two digits and no separator within: a text without a separator is taken by signs.
    assume(mark == "" or all(len(own) > 1 or own[0] < 10 for _, own in rows))
    options = {"data": data, "classes": CLASSES}
    joined = [(text, mark.join(map(str, own))) for text, own in rows]
    found = round_trip(joined, "per_base", label_separator=mark or None, **options)
    assert [label.tolist() for label in found] == expected
    found = round_trip(rows, "per_base", formats=st.just("parquet"), **options)
    assert [label.tolist() for label in found] == expected


@given(st.data(), st.dictionaries(NAMES, st.integers(0, 2), min_size=1, max_size=6))
def test_names_of_classes_are_read_by_the_mapping_that_may_merge_them(data, mapping):
    name = st.sampled_from(sorted(mapping))
    rows = data.draw(st.lists(st.tuples(SEQUENCES, name), min_size=1, max_size=6))
    found = round_trip(rows, "multiclass", data=data, classes=3, labels=mapping)
    assert found == [mapping[text] for _, text in rows]


def write_fasta(folder, headers):
    path = Path(folder) / "x.fa"
    path.write_text("".join(f">{header}\nACGT\n" for header in headers))
    return path


IDS = st.sampled_from(["s", "seq1", "chr1:10-20", "NM_0012.3", "a-1", "x=3"])
MARKS = st.sampled_from(["|", " ", "\t", "=", ":", ";", "|label=", " label:"])


@given(st.lists(st.tuples(IDS, MARKS, numbers()), min_size=1, max_size=5))
def test_the_number_at_the_end_of_a_header_is_read_whole_without_a_pattern_of_ones_own(parts):
    with tempfile.TemporaryDirectory() as folder:
        path = write_fasta(folder, ["".join(part) for part in parts])
        _, found = read(path, kind="regression", classes=1)
    assert [label.tolist() for label in found] == [[float(text)] for *_, text in parts]


# What people write for a number when they have thought of few of its spellings.
PATTERNS = st.sampled_from(
    [
        *(r"([0-9]+)$", r"([0-9]+)", r"([0-9.]+)$", r"([0-9.]+)", r"(-?[0-9]+)", r"(-?[0-9.]+)"),
        *(r"(-?[0-9]+)$", r"([0-9]+\.[0-9]+)", r"(-?[0-9]*\.?[0-9]+)$", r"(\S+)$", r"\|(\S+)"),
        *(r"\|(-?[0-9.]+)", r"\|([0-9])", r"([0-9])$"),
    ]
)


@given(numbers(), PATTERNS, st.sampled_from(["|", " ", "|y="]), st.sampled_from(["", " x", "|x"]))
def test_a_pattern_of_ones_own_reads_the_whole_number_or_is_refused(number, pattern, mark, rest):
    assume(mark == "|" or not pattern.startswith(r"\|"))
    assume(rest == "" or "S" not in pattern)  # which takes other text for a label, and is told so
    with tempfile.TemporaryDirectory() as folder:
        path = write_fasta(folder, [f"s{mark}{number}{rest}"])
        try:
            _, found = read(path, kind="regression", classes=1, label_pattern=pattern)
        except InputError:
            return
    assert found[0].tolist() == [float(number)]
