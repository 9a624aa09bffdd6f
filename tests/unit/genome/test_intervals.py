"""BED files and the like: columns, headers, lines that are refused, and spans that touch."""

import gzip

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.genome.intervals import Interval, merge_spans, read_bed, touch, write_bed


def rows_of(path, **columns):
    return read_bed(path, **columns).to_numpy(object).tolist()


def test_bed_is_read_as_it_stands_with_three_to_six_columns(tmp_path):
    path = tmp_path / "x.bed"
    for lines, expected in (
        ("#c\ntrack name=x\nc\t0\t10\n", [["c", 0, 10, "", ".", -1]]),
        ("c\t5\t6\tone\nc\t7\t8\ttwo\t3\n", [["c", 5, 6, "one"], ["c", 7, 8, "two"]]),
        (
            "d 7 9 two 0 -\n\nc\t1\t2\tz\t.\t+\tmore\n",
            [["d", 7, 9, "two", "-"], ["c", 1, 2, "z", "+"]],
        ),
    ):
        path.write_text(lines)
        rest = ["", ".", -1]
        assert rows_of(path) == [[*row, *rest[len(row) - 3 :]] for row in expected]
    packed = tmp_path / "x.bed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert rows_of(packed) == rows_of(path)


def test_lines_for_browsers_and_a_header_that_is_a_comment_are_no_records(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text(
        "browser position c:1-9\ntrack name=x\n# made by hand\n#chrom\tchromStart\tchromEnd\ttype\n"
        "c\t0\t10\tone\ntrack\ttype=bed\ntrack1\t2\t3\ttwo\nbrowser_7\t2\t3\tsix\n"
    )
    found = rows_of(path, name="type", strand=None)
    assert [row[:4] for row in found] == [
        ["c", 0, 10, "one"],
        ["track1", 2, 3, "two"],
        ["browser_7", 2, 3, "six"],
    ]
    with pytest.raises(InputError, match=r"no column 'kind' for the name; its columns are chrom, "):
        read_bed(path, name="kind", strand=None)


def test_what_is_written_reads_back_equal(tmp_path):
    intervals = [Interval(contig="c", start=3, end=9, name="n", strand=s) for s in "+-."]
    write_bed(intervals, tmp_path / "x.bed.gz")
    assert rows_of(tmp_path / "x.bed.gz") == [["c", 3, 9, "n", strand, -1] for strand in "+-."]


def test_columns_are_chosen_by_number_or_by_the_name_in_a_header(tmp_path):
    peaks = tmp_path / "x.narrowPeak"
    peaks.write_text("c\t10\t30\tp\t9\t.\t1.5\t2\t3\t12\nc\t40\t50\tq\t9\t.\t1\t2\t3\t-1\n")
    assert [row[5] for row in rows_of(peaks, summit=10)] == [12, -1]
    # The columns of the DHS vocabulary.
    table = tmp_path / "x.txt"
    table.write_text(
        "seqname\tstart\tend\tidentifier\tcomponent\nchr1\t5\t9\t1.1\tTissue invariant\n"
    )
    assert rows_of(table, name="component", strand=None)[0][3:5] == ["Tissue invariant", "."]
    with pytest.raises(InputError, match=r"its columns are component, seqname, start"):
        read_bed(table, name="Component")
    twice = tmp_path / "twice.txt"
    twice.write_text("chrom\tstart\tend\tkind\tkind\nchr1\t5\t9\ta\tb\n")
    with pytest.raises(InputError, match="has 2 columns 'kind', and one is to hold the name"):
        read_bed(twice, name="kind", strand=None)
    assert rows_of(twice, name=5, strand=None)[0][3] == "b"
    # SCREEN's sixth column is no strand, but the type.
    elements = tmp_path / "y.bed"
    elements.write_text("chr1\t5\t9\tEH38D1\tEH38E1\tpELS\n")
    assert rows_of(elements, name=6, strand=None)[0][3] == "pELS"
    with pytest.raises(
        InputError, match=r"x.txt has no column 'type' for the name; its columns are"
    ):
        read_bed(table, name="type")
    with pytest.raises(
        InputError, match=r"y.bed has no column 'type' for the name; it has no header"
    ):
        read_bed(elements, name="type", strand=None)
    with pytest.raises(
        InputError, match=r"y.bed:1: the line has 6 columns, but column 10 is to hold"
    ):
        read_bed(elements, strand=None, summit=10)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("c\t5\n", r"x.bed:1: a BED line needs contig, start and end"),
        ("c\t1\t2\nc\tone\t9\n", r"x.bed:2: 'one' to '9' is not an interval"),
        ("c\t9\t9\n", r"x.bed:1: '9' to '9' is not an interval"),
        ("c\t1\t9\tn\t0\tplus\n", r"x.bed:1: the strand is 'plus'"),
        ("c\t1\t9\t-\n", r"x.bed:1: column 4 holds '-', but the strand is read from column 6"),
        ("c\t1\t9\tn\t+\n", r"x.bed:1: column 5 holds '\+', but the strand is read from column 6"),
        ("c\t1\t9\tn\t0\t-\nc\t1\t9\n", r"x.bed:2: the line has 3 columns, and line 1 has 6"),
        ("c\t1\t9\tn\t0\t-\nc\t1\t9\tn\n", r"line 1 has 6, so that .* strand in one and not"),
        ("#\nc\t1\t9\nc\t1\t9\tn\t0\t-\n", r"x.bed:3: the line has 6 columns, and line 2 has 3"),
        ("c\t1\t9\tn\nc\t1\t9\n", r"x.bed:2: the line has 3 columns, .* name in one and not"),
        ("#only\n", r"x.bed holds no interval"),
        ("<html>\n", r"x.bed:1: a BED line needs"),
    ],
)
def test_a_bad_bed_line_is_named(tmp_path, text, sentence):
    path = tmp_path / "x.bed"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_bed(path)


def test_a_strand_in_a_column_that_is_named_is_no_fault(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("c\t1\t9\t-\n")
    assert rows_of(path, strand=4) == [["c", 1, 9, "-", "-", -1]]
    assert rows_of(path, strand=None) == [["c", 1, 9, "-", ".", -1]]


def test_lines_may_differ_in_columns_that_are_not_read(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("c\t1\t9\tn\t0\t-\nc\t1\t9\nc\t1\t9\tn\n")
    assert rows_of(path, name=None, strand=None) == [["c", 1, 9, "", ".", -1]] * 3
    path.write_text("c\t1\t9\tn\t0\t-\nc\t1\t9\tm\n")
    assert [row[3] for row in rows_of(path, strand=None)] == ["n", "m"]


def test_a_summit_outside_of_its_peak_is_named(tmp_path):
    path = tmp_path / "x.narrowPeak"
    path.write_text("c\t10\t30\tp\t9\t.\t1\t2\t3\t20\n")
    with pytest.raises(InputError, match=r"x.narrowPeak:1: '20' is no summit inside .* 20 bases"):
        read_bed(path, summit=10)


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"c\t1\t2\n" * 10_000)[:-30])
    with pytest.raises(InputError, match=r"x.bed.gz cannot be read \(.*\): fetch the file again"):
        read_bed(path)


def test_merged_spans_cover_the_same_bases_and_touch_what_pandas_says_overlaps():
    random = np.random.default_rng(3)
    for _ in range(50):
        starts = random.integers(0, 200, 30)
        ends = starts + random.integers(1, 12, 30)
        covered = np.zeros(220, dtype=bool)
        for start, end in zip(starts, ends, strict=True):
            covered[start:end] = True
        spans = merge_spans(starts, ends)
        merged = np.zeros(220, dtype=bool)
        for start, end in zip(*spans, strict=True):
            assert not merged[start:end].any()
            merged[start:end] = True
        assert (merged == covered).all()
        queries = random.integers(0, 200, 40)
        known = pd.IntervalIndex.from_arrays(starts, ends, closed="left")
        expected = [known.overlaps(pd.Interval(q, q + 7, closed="left")).any() for q in queries]
        assert touch(queries, queries + 7, spans).tolist() == expected


@pytest.mark.parametrize("start", ["²", "1²", "٣", "9" * 19, "9" * 5000, "+1", "1_0", " 1"])
def test_a_coordinate_that_is_no_decimal_of_64_bits_is_named_with_its_line(tmp_path, start):
    path = tmp_path / "x.bed"
    path.write_text(f"c\t1\t9\nc\t{start}\t20\n")
    with pytest.raises(InputError, match=r"x\.bed:2: .* is not an interval: correct"):
        read_bed(path)
    path.write_text(f"c\t1\t9\nc\t1\t{start}\n")
    with pytest.raises(InputError, match=r"x\.bed:2: .* is not an interval: correct"):
        read_bed(path)


@pytest.mark.parametrize("summit", ["²", "9" * 5000, "-2"])
def test_a_summit_that_is_no_decimal_is_named_with_its_line(tmp_path, summit):
    path = tmp_path / "x.narrowPeak"
    path.write_text(f"c\t1\t9\tp\t0\t.\t0\t0\t0\t{summit}\n")
    with pytest.raises(InputError, match=r"x\.narrowPeak:1: .* is no summit inside"):
        read_bed(path, summit=10)


def test_a_byte_changed_in_gzip_data_is_a_sentence_wherever_it_is(tmp_path):
    random = np.random.default_rng(5)
    lines = (f"c\t{start}\t{start + 9}\n" for start in random.integers(0, 9999, 60))
    whole = gzip.compress("".join(lines).encode(), mtime=0)
    path = tmp_path / "x.bed.gz"
    for place in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.bed\.gz"):
            read_bed(path)


def test_a_line_that_is_no_utf_8_is_named_and_utf_16_is_read(tmp_path):
    path = tmp_path / "x.bed"
    path.write_bytes("c\t1\t9\tp\nc\t2\t9\tcafé\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"x\.bed:2: .* not UTF-8 .*: save the file as UTF-8"):
        read_bed(path)
    path.write_bytes("c\t1\t9\tcafé\n".encode("utf-16"))
    assert read_bed(path)[["start", "name"]].to_numpy().tolist() == [[1, "café"]]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("seqnames\tstart\tend\twidth\tstrand", "c\t11\t20\t10\t+"),  # GRanges of R
        ("# MACS\nchr\tstart\tend\tlength\tabs_summit", "c\t11\t20\t10\t15"),
        ("#chrom\tchromStart\tchromEnd\tLength", "c\t11\t20\t10"),
    ],
)
def test_a_table_that_counts_from_1_is_refused_by_its_lengths(tmp_path, header, row):
    path = tmp_path / "x.txt"
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError, match=r"x.txt:\d: 11 to 20 are 10 bases .* counts from 1"):
        read_bed(path, strand=None)
    path.write_text(f"{header}\n{row.replace('11', '10')}\n")
    assert rows_of(path, strand=None)[0][:3] == ["c", 10, 20]


def test_strands_in_another_column_than_the_one_that_is_read_are_not_passed_over(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("chrom\tstart\tend\tstrand\tname\nc\t10\t20\t-\tn\n")
    with pytest.raises(InputError, match=r"strands in column 4 by its header, but column 6 is to"):
        read_bed(path)
    assert rows_of(path, strand="strand")[0][4] == "-"
    assert rows_of(path, strand=4)[0][4] == "-"


def test_blanks_around_names_and_strands_are_no_part_of_them(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text(" c \t10\t20\tn m \t0\t- \n   \nc\t10\t20\tn m\t0\t-\n")
    assert rows_of(path) == [["c", 10, 20, "n m", "-", -1]] * 2


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\xeb\xf2\x89\x87", "a bigBed file; convert it with `bigBedToBed"),
        (b"\x26\xfc\x8f\x88", "a bigWig file; convert it with `bigWigToBedGraph"),
        (b"\xd0\xcf\x11\xe0", "a workbook of Excel; save its sheet as text"),
        (b"PK\x03\x04", "a zip archive; unpack it with `unzip`, or save a workbook of Excel"),
        (b"SQLite format 3\0", "a database of SQLite; give the text"),
        (b"\x89HDF\r\n", "an HDF5 file; give the kind"),
    ],
)
def test_files_of_other_kinds_are_named_with_what_makes_text_of_them(tmp_path, start, said):
    path = tmp_path / "x.bed"
    path.write_bytes(start + bytes(40))
    with pytest.raises(InputError, match=f"x.bed: this is {said}"):
        read_bed(path)
