"""Cells of tables of text: rows that a quotation mark would swallow, and texts of several lines."""

import csv
import io

import numpy as np
import pytest

from dnalm.benchmark.tasks.table_cells import read_cells
from dnalm.errors import InputError


def cells_of(path, separator, text, **options):
    path.write_text(text, newline="")
    return [cells for _, cells in read_cells(path, separator, **options)]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_no_mark_opened_in_one_row_and_closed_in_another_loses_a_row(tmp_path, separator, end):
    random = np.random.default_rng(3)
    for columns in (1, 2, 3, 5):
        for _ in range(40):
            rows = [[f"r{row}c{column}" for column in range(columns)] for row in range(8)]
            first, last = sorted((1 + random.choice(7, 2, replace=False)).tolist())
            opened, closed = random.integers(columns, size=2).tolist()
            rows[first][opened] = '"' + rows[first][opened]
            rows[last][closed] += '"'
            text = end.join(separator.join(row) for row in rows) + end
            with pytest.raises(InputError, match=r"x, line \d"):
                cells_of(tmp_path / "x", separator, text)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_texts_of_several_lines_and_marks_within_them_are_read_as_csv_has_them(tmp_path, separator):
    rows = [
        ["name", "note", "label"],
        ["a", "two\nlines", "1"],
        ["b", f"first{separator} second\nthird", "0"],
        ["c", 'he said "no"\r\nand went', "1"],
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    assert cells_of(tmp_path / "x", separator, text.getvalue()) == rows


def test_a_swallowed_row_is_named_by_both_its_lines(tmp_path):
    text = 'note,sequence,label\nn,ACGT,0\n"x,ACGT,1\nm,ACGT,0\ny",ACGT,0\n'
    with pytest.raises(InputError, match="line 3: a quotation mark swallows the rows up to line 5"):
        cells_of(tmp_path / "x", ",", text)


def test_comments_are_left_out_and_counted_as_lines(tmp_path):
    text = '# of "whom\nname\tcolour\n#\ta\na#1\t#ff0000\n\n'
    (tmp_path / "x").write_text(text)
    assert list(read_cells(tmp_path / "x", "\t", "#")) == [
        (2, ["name", "colour"]),
        (4, ["a#1", "#ff0000"]),
    ]
