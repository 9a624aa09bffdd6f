"""Intervals: any BED file as pandas reads it, and unions and overlaps against a mask of bases."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dnalm.genome.bases import GenomeBases, find_gaps, write_bases
from dnalm.genome.intervals import merge_spans, read_bed, touch

BASES = 60
SPANS = st.lists(
    st.tuples(st.integers(0, BASES), st.integers(1, 12)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=12,
)
# Cells between tabs: any letters and signs, quotes and blanks among them, but no line ends.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=8
)
CONTIGS = st.text("chrUn_.|:-0123456789", min_size=1, max_size=10)
LINE_ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def bed_rows(draw, columns):
    """Return rows of as many columns as there are: those of BED6, then those of narrowPeak."""
    start = draw(st.integers(0, 10**12))
    length = draw(st.integers(1, 10**6))
    summit = draw(st.just("-1") | st.integers(0, length - 1).map(str))
    cells = [draw(CONTIGS), str(start), str(start + length), draw(TEXTS)]
    cells += [str(draw(st.integers(0, 1000))), draw(st.sampled_from("+-."))]
    cells += [repr(draw(st.floats(0, 1e6))) for _ in range(3)] + [summit]
    return cells[:columns]


def write_bed(draw, folder, columns):
    """Write rows, with comments, empty lines and lines for browsers between; return the path."""
    end = draw(LINE_ENDS)
    rows = draw(st.lists(bed_rows(columns), min_size=1, max_size=8))
    others = st.sampled_from(["", "# made by hand", "track name=x", "browser position c:1-9"])
    lines = []
    for row in rows:
        lines += [*draw(st.lists(others, max_size=2)), "\t".join(row)]
    path = folder / "x.bed"
    path.write_bytes((end.join(lines) + draw(st.sampled_from([end, ""]))).encode())
    return path, rows


def read_with_pandas(path, columns):
    """Return the cells of a BED file as pandas finds them between tabs."""
    text = [
        line
        for line in path.read_bytes().decode().replace("\r\n", "\n").split("\n")
        if line and not line.startswith(("#", "track name", "browser position"))
    ]
    plain = path.with_suffix(".plain")
    plain.write_text("\n".join(text) + "\n")
    return pd.read_csv(
        plain,
        sep="\t",
        header=None,
        names=range(columns),
        dtype={1: np.int64, 2: np.int64} | dict.fromkeys((0, *range(3, columns)), str),
        quoting=csv.QUOTE_NONE,
        keep_default_na=False,
    )


@given(st.data(), st.sampled_from([3, 4, 5, 6, 10]))
def test_a_bed_file_is_read_as_pandas_reads_it(data, columns):
    with tempfile.TemporaryDirectory() as folder:
        path, rows = write_bed(data.draw, Path(folder), columns)
        found = read_bed(path, summit=10 if columns == 10 else None)
        expected = read_with_pandas(path, columns)
        assert len(expected) == len(rows)
    for place, name in enumerate(("contig", "start", "end")):
        assert found[name].tolist() == expected[place].tolist()
    names = expected[3].tolist() if columns > 3 else [""] * len(rows)
    assert found["name"].tolist() == names
    strands = expected[5].tolist() if columns > 5 else ["."] * len(rows)
    assert found["strand"].tolist() == strands
    summits = expected[9].astype(int).tolist() if columns == 10 else [-1] * len(rows)
    assert found["summit"].tolist() == summits


def arrays(spans):
    table = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def mask_of(spans):
    mask = np.zeros(BASES + 20, dtype=bool)
    for start, end in spans:
        mask[start:end] = True
    return mask


def runs_of(mask):
    """Return the runs of true bases, one base after the other."""
    runs, start = [], None
    for place, inside in enumerate([*mask, False]):
        if inside and start is None:
            start = place
        elif not inside and start is not None:
            runs.append((start, place))
            start = None
    return runs


@given(SPANS)
def test_a_union_has_the_bases_of_its_intervals_and_is_as_short_as_can_be(spans):
    starts, ends = merge_spans(*arrays(spans))
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == runs_of(mask_of(spans))


@given(SPANS, SPANS | st.lists(st.integers(0, BASES).map(lambda s: (s, s)), max_size=3))
def test_intervals_overlap_where_they_share_a_base(spans, asked):
    found = touch(*arrays(asked), merge_spans(*arrays(spans)))
    mask = mask_of(spans)
    assert found.tolist() == [bool(mask[start:end].any()) for start, end in asked]


@given(st.lists(st.text("ACGTN", min_size=1, max_size=40), min_size=1, max_size=3), st.data())
def test_gaps_are_the_runs_of_n_of_every_stored_piece(pieces, data):
    with tempfile.TemporaryDirectory() as name:
        folder, text, start, expected = Path(name), "", 0, []
        for piece in pieces:
            start += data.draw(st.integers(1, 30))
            text += f">c:{start + 1}-{start + len(piece)}\n{piece}\n"
            mask = [letter == "N" for letter in piece]
            expected += [(start + first, start + last) for first, last in runs_of(mask)]
            start += len(piece)
        (folder / "x.fa").write_text(text)
        paths = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
        paths = {key: folder / path for key, path in paths.items()}
        write_bases(folder / "x.fa", name="g", config={}, **paths)
        starts, ends = find_gaps(GenomeBases.of(folder), "c")
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected
