"""Scores of others against pysam's own view of tables and pybigtools' of tracks."""

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from dnalm.download.compression import BGZF_END_BLOCK
from dnalm.errors import InputError
from dnalm.variants.prioritisation.external_scores import ExternalConfig, read_external

NONE = {"info": None, "vcf": None, "table": None, "column": None, "by_position": False}
NONE |= {"bigwig": None, "rises": True}
VARIANTS = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr1", "chr2"],
        "pos": [10, 10, 12, 5],
        "ref": ["A", "A", "CG", "T"],
    }
    | {"alt": ["C", "G", "C", "A"]}
)


def config(**given):
    return ExternalConfig(**{**NONE, **given})


@pytest.fixture
def cadd(tmp_path):
    lines = ["## CADD", "#Chrom\tPos\tRef\tAlt\tRawScore\tPHRED"]
    lines += ["1\t10\tA\tC\t0.5\t5", "1\t10\tA\tG\t-0.25\t2", "1\t12\tC\tT\t9\t9"]
    (tmp_path / "cadd.tsv").write_text("\n".join(lines) + "\n")
    path = str(tmp_path / "cadd.tsv.gz")
    pysam.tabix_compress(str(tmp_path / "cadd.tsv"), path)
    return path


def index(path):
    return pysam.tabix_index(path, seq_col=0, start_col=1, end_col=1, meta_char="#", force=True)


def test_a_table_gives_the_score_of_the_allele_not_of_its_neighbour(cadd):
    index(cadd)
    found = read_external("cadd", VARIANTS, config(table=cadd, column="RawScore"))
    np.testing.assert_allclose(found, [0.5, -0.25, np.nan, np.nan])
    by_number = read_external("cadd", VARIANTS, config(table=cadd, column=6))
    np.testing.assert_allclose(by_number, [5, 2, np.nan, np.nan])
    by_position = config(table=cadd, column="PHRED", by_position=True)
    np.testing.assert_allclose(read_external("c", VARIANTS, by_position), [5, 5, 9, np.nan])


def test_tables_that_cannot_be_used_are_refused_in_a_sentence(cadd):
    with pytest.raises(InputError, match="tabix -s 1 -b 2 -e 2"):
        read_external("cadd", VARIANTS, config(table=cadd, column="RawScore"))
    index(cadd)
    with pytest.raises(InputError, match="did you mean 'RawScore'"):
        read_external("cadd", VARIANTS, config(table=cadd, column="Rawscore"))
    with pytest.raises(InputError, match="'A' at 1:10 is no number"):
        read_external("cadd", VARIANTS, config(table=cadd, column="Ref"))
    elsewhere = VARIANTS.assign(chrom="X")
    with pytest.raises(InputError, match="no contig of the variants, which lie on X"):
        read_external("cadd", elsewhere, config(table=cadd, column="RawScore"))


def test_a_track_gives_the_mean_over_the_reference_bases_that_it_covers(tmp_path):
    bigtools = pytest.importorskip("pybigtools")
    path = str(tmp_path / "phylop.bw")
    intervals = [("1", 8, 10, 1.5), ("1", 11, 12, 2.0), ("1", 12, 13, 4.0)]
    bigtools.open(path, "w").write({"1": 100}, iter(intervals))
    found = read_external("phylop", VARIANTS, config(bigwig=path))
    np.testing.assert_allclose(found, [1.5, 1.5, 3.0, np.nan])
    (tmp_path / "no.bw").write_text("text")
    with pytest.raises(InputError, match="no bigWig file"):
        read_external("phylop", VARIANTS, config(bigwig=str(tmp_path / "no.bw")))


def test_a_field_of_another_file_is_joined_by_allele(tmp_path):
    header = '##fileformat=VCFv4.2\n##INFO=<ID=S,Number=A,Type=Float,Description="s">\n'
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "s.vcf").write_text(header + "1\t10\t.\tA\tG,C\t.\t.\tS=3,4\n")
    found = read_external("s", VARIANTS, config(info="S", vcf=str(tmp_path / "s.vcf")))
    np.testing.assert_allclose(found, [4, 3, np.nan, np.nan])
    own = VARIANTS.assign(S=["1", "", "x", "2"])
    with pytest.raises(InputError, match="'x' is no number"):
        read_external("s", own, config(info="S"))


def test_other_columns_may_hold_any_bytes_and_a_column_that_comes_twice_is_refused(tmp_path):
    path, lines = str(tmp_path / "t.tsv.gz"), "#Chrom\tPos\tRef\tAlt\tPHRED\tSource\tSource\n"
    text = (lines + "1\t10\tA\tC\t5\tMünchen\tx\n").encode("latin-1")
    with pysam.BGZFile(path, "w") as file:
        file.write(text)
    index(path)
    found = read_external("c", VARIANTS, config(table=path, column="PHRED"))
    np.testing.assert_allclose(found, [5, np.nan, np.nan, np.nan])
    with pytest.raises(InputError, match="two columns Source"):
        read_external("c", VARIANTS, config(table=path, column="Source"))
    with pytest.raises(InputError, match="'München' at 1:10 is no number"):
        read_external("c", VARIANTS, config(table=path, column=6))


@pytest.mark.parametrize("cell", ["1_0", "١", "five"])
def test_what_python_alone_takes_for_a_number_is_none(tmp_path, cell):
    path = str(tmp_path / "t.tsv.gz")
    with pysam.BGZFile(path, "w") as file:
        file.write(f"#Chrom\tPos\tRef\tAlt\tPHRED\n1\t10\tA\tC\t{cell}\n".encode())
    index(path)
    with pytest.raises(InputError, match="at 1:10 is no number"):
        read_external("c", VARIANTS, config(table=path, column="PHRED"))


def test_a_table_that_was_cut_or_damaged_is_refused_whatever_place_is_asked_for(cadd):
    index(cadd)
    whole = Path(cadd).read_bytes()
    for damaged, said in (
        (whole[: -len(BGZF_END_BLOCK)], "the end mark of bgzip is missing"),
        (whole[:30] + bytes([whole[30] ^ 255]) + whole[31:], "truncated or damaged"),
    ):
        Path(cadd).write_bytes(damaged)
        with pytest.raises(InputError, match=said):
            read_external("cadd", VARIANTS, config(table=cadd, column="PHRED"))


def test_a_track_that_is_damaged_anywhere_is_read_or_refused_in_a_sentence(tmp_path):
    pybigtools = pytest.importorskip("pybigtools")
    path, read, refused = tmp_path / "t.bw", 0, []
    values = [("chr1", i, i + 1, float(i % 7)) for i in range(90)]
    pybigtools.open(str(path), "w").write({"chr1": 100}, values)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            found = read_external("t", VARIANTS, config(bigwig=str(path)))
        except InputError as error:
            refused.append(str(error))
        else:
            assert len(found) == len(VARIANTS)
            read += 1
    assert read
    assert refused
    assert all("no bigWig file that can be read" in said for said in refused)


def test_a_track_that_asks_for_more_memory_than_there_is_is_refused_and_the_next_one_read(tmp_path):
    pybigtools = pytest.importorskip("pybigtools")
    path = tmp_path / "t.bw"
    pybigtools.open(str(path), "w").write({"chr1": 100}, iter([("chr1", 8, 13, 2.0)]))
    whole = path.read_bytes()
    # The first leaf of the index: 48 bytes of its head, 4 of the node, 24 before the block's size.
    (at,) = struct.unpack_from("<Q", whole, 24)
    (size,) = struct.unpack_from("<Q", whole, at + 76)
    damaged = bytearray(whole)
    struct.pack_into("<Q", damaged, at + 76, size | 1 << 46)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"t.bw: this is no bigWig file .*has given up"):
        read_external("t", VARIANTS, config(bigwig=str(path)))
    path.write_bytes(whole)
    found = read_external("t", VARIANTS, config(bigwig=str(path)))
    np.testing.assert_allclose(found, [2, 2, 2, np.nan])


@pytest.mark.parametrize("ending", [".bw", ".BigWig", ".bigwig", ".dat"])
def test_a_track_is_read_by_what_it_holds_not_by_its_name(tmp_path, ending):
    pybigtools = pytest.importorskip("pybigtools")
    pybigtools.open(str(tmp_path / "t.bw"), "w").write({"1": 100}, iter([("1", 8, 13, 2.0)]))
    path = (tmp_path / "t.bw").rename(tmp_path / f"t{ending}")
    found = read_external("t", VARIANTS, config(bigwig=str(path)))
    np.testing.assert_allclose(found, [2, 2, 2, np.nan])
