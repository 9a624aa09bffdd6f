"""Populations of samples from the tables that panels of genomes come with."""

import gzip
import logging

import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.genome.haplotypes.populations import read_populations

IGSR = (
    "Sample name\tSex\tBiosample ID\tPopulation code\tPopulation name\tSuperpopulation code\t"
    "Superpopulation name\tPopulation elastic ID\tData collections\n"
    "s0\tmale\tSAME1\tFIN\tFinnish\tEUR\tEuropean Ancestry\tFIN\tGRCh38,1000 Genomes phase 3\n"
    "s 1\tfemale\tSAME2\tJPT\tJapanese\tEAS\tEast Asian Ancestry\tJPT\t1000 Genomes on GRCh38\n"
    "HG3\t\tSAME3\t\t\t\t\t\tMGP\n"
)
BOTH = [("s0", "FIN", "EUR"), ("s 1", "JPT", "EAS")]
TABLES = {
    "IGSR": (IGSR, [*BOTH, ("HG3", "", "")]),
    "of three columns with tabs at the end": (
        "sample\tpop\tsuper_pop\tgender\t\t\ns0\tFIN\tEUR\tmale\n",
        BOTH[:1],
    ),
    "of blanks": (
        "FamilyID SampleID FatherID MotherID Sex Population Superpopulation\nf s0 0 0 1 FIN EUR\n",
        BOTH[:1],
    ),
    "PED with a header": (
        "Family ID\tIndividual ID\tPaternal ID\tMaternal ID\tGender\tPhenotype\tPopulation\tOther\n"
        "f\ts0\t0\t0\t1\t0\tFIN\tno notes\nf\ts 1\t0\t0\t2\t0\tJPT\n",
        [("s0", "FIN", ""), ("s 1", "JPT", "")],
    ),
    "PLINK 2": ("#IID\tPAT\tMAT\tSEX\tSuperPop\tPopulation\ns0\t0\t0\t1\tEUR\tFIN\n", BOTH[:1]),
    "commas and quotes": ('Sample,Pop,Superpop\n"s0","FIN","EUR"\n"s 1",JPT,EAS\n', BOTH),
    "a quote in a cell": ('sample\tpop\tname\ns0\tFIN\t5" tall\ns 1\tJPT\t"\n', None),
    "the same row twice": ("sample\tpop\ns0\tFIN\ns0\tFIN\n", [("s0", "FIN", "")]),
    "no row has a superpopulation": ("sample pop\ns0 FIN\n", [("s0", "FIN", "")]),
    "a population called NA": ("sample\tpop\ns0\tNA\n", [("s0", "NA", "")]),
}


@pytest.mark.parametrize(("text", "rows"), TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_its_publisher_means_it(tmp_path, text, rows):
    path = tmp_path / "t"
    for data in (
        text.encode(),
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        gzip.compress(text.encode()),
    ):
        path.write_bytes(data)
        found = read_populations(path, ["s0", "s 1"])
        assert found.columns.tolist() == ["sample", "population", "superpopulation"]
        expected = rows or [("s0", "FIN", ""), ("s 1", "JPT", "")]
        assert list(found.itertuples(index=False, name=None)) == expected


def test_igsrs_columns_are_those_that_pandas_reads(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text(IGSR)
    told = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    made = read_populations(path, ["s0"])
    assert made["population"].tolist() == told["Population code"].tolist()
    assert made["superpopulation"].tolist() == told["Superpopulation code"].tolist()


BAD = {
    "no column of samples": ("who\tpop\ns0\tFIN\n", r"no column is called sample, .*has who, pop"),
    "no header": ("s0\tFIN\tEUR\ns 1\tJPT\tEAS\n", "no column is called sample, .* it has s0, FIN"),
    "other names": ("Sample\tpop\nSAME1\tFIN\n", r"none of the panel's samples \(s0, .*'SAME1'"),
    "two columns of samples": (
        "Sample name\tIndividual ID\tpop\ns0\ts0\tFIN\ns 1\tx\tJPT\n",
        "the columns Sample name and Individual ID may be meant alike, but differ",
    ),
    "two columns of populations": (
        "sample\tPopulation\tPopulation code\ns0\tFinnish\tFIN\n",
        "Population and Population code may be meant alike",
    ),
    "names with blanks between blanks": (
        "sample population superpopulation\ns0 FIN EUR\ns 1 JPT EAS\n",
        "t:3: the row has 4 cells, the header 3; separate cells by tabs",
    ),
    "a blank in the header": ("sample name pop\ns0 FIN\n", "the row has 2 cells, the header 3"),
    "a cell too many": ("sample\tpop\ns0\tFIN\tEUR\n", "t:2: the row has 3 cells, the header 2"),
    "two populations": ("sample\tpop\ns0\tFIN\ns0\tGBR\n", "sample s0 stands in two rows"),
    "empty": ("", "no table of populations"),
    "bytes": ("sample\tpop\n\0\0\n", "no table of populations"),
}


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_a_table_that_cannot_be_trusted_is_refused(tmp_path, text, sentence):
    path = tmp_path / "t"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        read_populations(path, ["s0", "s 1"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(InputError, match="a zip archive, no table"):
        read_populations(path, ["s0"])
    path.write_bytes("sample\tpop\n".encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16 text, no table; save it as UTF-8"):
        read_populations(path, ["s0"])
    with pytest.raises(InputError, match=r"\(Is a directory\); correct the panel's `pop"):
        read_populations(tmp_path, ["s0"])


def test_names_in_latin1_are_those_of_the_panel(tmp_path, caplog):
    path = tmp_path / "t.tsv"
    path.write_bytes("sample\tpop\nJosé\tFIN\n".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert read_populations(path, ["José", "x"])["sample"].tolist() == ["José"]
    assert "1 of 2 samples are not in the table" in caplog.text
