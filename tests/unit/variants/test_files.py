"""Files with scores: every record as it was, read and found sound by bcftools; bad input."""

import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest
from safetensors.numpy import load_file

from dnalm.errors import InputError
from dnalm.variants import run
from dnalm.variants.score_table import SCORE_NAMES
from dnalm.variants.tables import write_text
from dnalm.variants.vcf_output import index_output

FIELD = "DNALM_A_SMALL_1_{}"
# As ClinVar's: one line that is no line of VCF. Genotypes are haploid, missing, or have no value.
HEADER = """##fileformat=VCFv4.2
##source=ClinVar
##ID=<Description="ClinVar Variation ID">
##FILTER=<ID=low,Description="low">
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Clinical significance">
##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##contig=<ID=c,length=600>
##contig=<ID=other,length=600>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2
"""


@pytest.fixture(scope="module")
def contig(sequence):
    text = sequence(11, 600)
    return text[:300] + "ACGTT" + text[305:]


@pytest.fixture(scope="module")
def files(make_files, contig):
    return make_files({"c": contig, "other": contig[::-1]})


def record(contig, position, alternative, info=".", *, size=1, tail="GT:DP\t0|1:7\t.") -> str:
    reference = contig[position - 1 : position - 1 + size]
    cells = ["c", str(position), f"rs{position}", reference, alternative, "12.50", "low", info]
    return "\t".join([*cells, tail]) + "\n"


def reasons_of(table: pd.DataFrame) -> list[str | None]:
    return [None if pd.isna(reason) else reason for reason in table["skip"]]


@pytest.fixture(scope="module")
def text(contig):
    """Return a file with SNVs of one and three alleles, an MNV, indels, and alleles of no DNA."""
    return HEADER + "".join(
        [
            record(contig, 301, "C", "CLNSIG=Benign;AF=1e-05"),
            record(contig, 301, "G,C,T", "AF=0.10000,.,0.2"),
            record(contig, 302, "T", tail="GT:DP\t1:3\t./.:."),
            record(contig, 303, "GGA"),
            record(contig, 303, "CA", size=2),
            record(contig, 304, "<DEL>,A,*"),
            record(contig, 305, "."),
        ]
    )


def lines_of(path: Path) -> list[str]:
    with pysam.BGZFile(str(path)) as file:
        return [line.decode() for line in file]


def test_every_line_is_kept_but_for_what_is_added(files, score, text):
    made = score(files, text)
    assert made.counts.records == 7
    found = lines_of(made.vcf)
    ours = [line for line in found if line.startswith(("##dnalm=", "##INFO=<ID=DNALM_"))]
    assert len(ours) == len(SCORE_NAMES) + 2
    kept = [re.sub(r";?DNALM_[A-Z0-9_]+=[^;\t]*", "", line) for line in found if line not in ours]
    kept = [re.sub(r"(\t\w+\t)(\tGT)", r"\1.\2", line) for line in kept]  # INFO was a dot
    assert kept == text.splitlines()


def test_bcftools_reads_the_output_and_finds_a_value_for_each_allele(files, score, text, tmp_path):
    made = score(files, text)
    for kind in ("tbi", "csi"):
        index_output(made.vcf, f"{made.vcf}.{kind}")
        assert Path(f"{made.vcf}.{kind}").exists()
        found = pysam.bcftools.view("-H", "-r", "c:303-304", str(made.vcf))
        assert len(found.splitlines()) == 3
        Path(f"{made.vcf}.{kind}").unlink()
    asked = "%POS\\t%REF\\t%ALT\\t%INFO/{}\\t%INFO/{}\\t%INFO/DNALM_SKIP\\n"
    asked = asked.format(FIELD.format("LLR"), FIELD.format("COSINE"))
    split = pysam.bcftools.norm("-m", "-any", str(made.vcf))
    (tmp_path / "split.vcf").write_text(split)
    rows = pysam.bcftools.query("-f", asked, str(tmp_path / "split.vcf")).splitlines()
    table = made.table[made.table["alt"].notna()].set_index(["pos", "ref", "alt"])
    assert len(rows) == len(table) + 1  # and the record whose ALT is a dot
    for row in rows:
        pos, ref, alt, llr, cosine, skip = row.split("\t")
        if alt == ".":
            assert (llr, cosine, skip) == (".", ".", ".")
            continue
        expected = table.loc[(int(pos), ref, alt)]
        expected = expected.iloc[0] if isinstance(expected, pd.DataFrame) else expected
        for value, name in ((llr, "llr"), (cosine, "cosine")):
            if value == ".":
                assert np.isnan(expected[name])
            else:
                assert float(value) == pytest.approx(expected[name], rel=1e-5)
        assert skip == ("." if pd.isna(expected["skip"]) else expected["skip"])


def test_the_table_has_a_row_for_each_allele_and_says_how_it_was_made(files, score, text, tmp_path):
    made = score(files, text, features=True, window=61)
    table = made.table
    assert table["record"].tolist() == [0, 1, 1, 1, 2, 3, 4, 5, 5, 5, 6]
    assert table["alt_index"].tolist() == [0, 0, 1, 2, 0, 0, 0, 0, 1, 2, 0]
    assert table["pos"].tolist() == [301] * 4 + [302, 303, 303] + [304] * 3 + [305]
    reasons = [None, None, None, None, None, "indel", None, "symbolic", None, "star", "no_alt"]
    assert reasons_of(table) == reasons
    assert list(table.columns[8:]) == list(SCORE_NAMES)
    named = table.loc[table["skip"].isna(), SCORE_NAMES]
    assert np.isfinite(named).all(axis=None)
    indel = table[table["skip"] == "indel"].iloc[0]
    assert np.isfinite(indel[["cosine", "dot", "l1", "l2"]].astype(float)).all()
    assert indel[list(SCORE_NAMES[4:])].isna().all()
    facts = json.loads(pq.read_schema(made.path).metadata[b"dnalm"])
    assert facts["window"] == 61
    assert facts["layer"] == 2
    assert facts["passes"] == ["reference", "alternative", "masked"]
    assert len(facts["weights_sha256"]) == len(facts["genome_sha256"]) == 64
    features = load_file(made.features)
    assert features["reference"].shape == features["alternative"].shape == (11, 16)
    scored = table["cosine"].notna().to_numpy()
    assert (np.isfinite(features["alternative"]).all(axis=1) == scored).all()
    difference = features["reference"][scored] - features["alternative"][scored]
    found = np.abs(difference.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(found, table["l1"][scored], rtol=1e-4)
    write_text(made.path, tmp_path / "x.tsv.gz")
    read = pd.read_csv(tmp_path / "x.tsv.gz", sep="\t")
    assert list(read.columns) == list(table.columns)
    np.testing.assert_allclose(read["llr"], table["llr"], rtol=1e-6)


def test_scores_are_the_same_of_bcf_bgzip_plain_gzip_and_text(files, score, text, tmp_path):
    plain = tmp_path / "plain.vcf"
    plain.write_text(text)
    packed = tmp_path / "packed.vcf.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    blocked = tmp_path / "blocked.vcf.gz"
    with pysam.BGZFile(str(blocked), "wb") as file:
        file.write(text.encode())
    binary = tmp_path / "binary.bcf"
    pysam.bcftools.view("-Ob", "-o", str(binary), str(plain), catch_stdout=False)
    first = score(files, plain).table
    for path in (packed, blocked, binary):
        made = score(files, path)
        pd.testing.assert_frame_equal(made.table, first)
        assert len(pysam.bcftools.view("-H", str(made.vcf)).splitlines()) == 7


def test_without_genotypes_eight_columns_are_left(files, score, text):
    lines = lines_of(score(files, text, sites_only=True).vcf)
    assert {len(line.split("\t")) for line in lines if not line.startswith("##")} == {8}


def test_older_scores_of_the_model_are_replaced_and_others_kept(files, score, text, tmp_path):
    first = score(files, text, model="other")
    shutil.copy(first.vcf, tmp_path / "first.vcf.gz")
    once = score(files, tmp_path / "first.vcf.gz")
    shutil.copy(once.vcf, tmp_path / "once.vcf.gz")
    twice = score(files, tmp_path / "once.vcf.gz")
    own, again = lines_of(once.vcf), lines_of(twice.vcf)
    as_is = [line for line in again if not line.startswith("##dnalm=<ID=a.small-1,")]
    assert as_is == [line for line in own if not line.startswith("##dnalm=<ID=a.small-1,")]
    assert sum(line.startswith("##dnalm=") for line in again) == 2
    scored = [line for line in again if "DNALM_A_SMALL_1_LLR=" in line]
    assert scored
    assert all("DNALM_OTHER_LLR=" in line for line in scored)


@pytest.mark.parametrize(
    ("records", "reasons"),
    [
        (["c 301 A C", "c 301 A C"], [None, None]),
        (
            ["c 301 A N", "c 301 A A", "c 301 A ]c:5]A", "c 301 A .A"],
            ["not_dna", "no_change"] + ["symbolic"] * 2,
        ),
        (
            ["c 0 A C", "c 301 A C", "c 600 AC A", "c 9999 A C"],
            ["outside_contig", None] + ["outside_contig"] * 2,
        ),
        (["c 301 A C", "d 301 A C"], [None, "contig_missing"]),
        (["c 301 a c"], [None]),
        ([], []),
    ],
)
def test_alleles_that_cannot_be_scored_are_counted_and_say_why(files, score, vcf, records, reasons):
    made = score(files, vcf(*records), scores=["cosine"])
    assert reasons_of(made.table) == reasons
    assert made.table["cosine"].notna().tolist() == [reason is None for reason in reasons]
    assert made.counts.repeated == (1 if len(set(records)) < len(records) else 0)
    assert len([line for line in lines_of(made.vcf) if not line.startswith("#")]) == len(records)
    index_output(made.vcf, f"{made.vcf}.tbi")
    pysam.bcftools.view(str(made.vcf))


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        (["c 302 C A", "c 301 A C"], ["c:301 is out of order, c:302", "bcftools sort"]),
        (["c 301 A C", "other 5 . A", "c 301 A C"], ["c:301 is out of order, other contigs"]),
        (["c 301 A C", f"c {1 << 29} A C"], ["behind 512 Mb", "index: csi"]),
        (["c x A C"], ["record 1", "POS", "mend the line"]),
        (["chrc 301 A C"], ["chrc", "has none, but c", "contig_names: prefix"]),
        (["7 301 A C"], ["has none, but c", "contig_names: {name there"]),
        (["c 301 A C", "c 302 G C"], ["1 of 2 SNVs have another REF than the genome g", "largest"]),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused_in_a_sentence(files, score, vcf, records, parts):
    with pytest.raises(InputError) as found:
        score(files, vcf(*records))
    for part in parts:
        assert part in str(found.value)


@pytest.mark.parametrize(
    ("columns", "record", "sentence"),
    [
        ("\tFORMAT\ts1\ts2", "\tGT\t0|1", "c:301 has 10 columns, and the header has 11"),
        ("\tFORMAT\ts1", "\tGT\t0|1\t1|1", "c:301 has 11 columns, and the header has 10"),
        ("", "\tGT\t1|1", "c:301 has 10 columns, and the header has 8"),
        ("\tFORMAT", "\tGT", "header has the column FORMAT and no samples .*cut -f 1-8"),
    ],
)
def test_what_bcftools_would_not_read_or_would_leave_out_is_refused(
    files, score, vcf, columns, record, sentence
):
    head, line = vcf("c 301 A C").rstrip("\n").rsplit("\n", 1)
    with pytest.raises(InputError, match=sentence):
        score(files, f"{head}{columns}\n{line}{record}\n")


@pytest.mark.parametrize(
    ("line", "assembly"),
    [
        ("##contig=<ID=20,length=63025520>", "GRCh37 (hg19)"),
        ("##contig=<ID=chr20,length=64444167>", "GRCh38 (hg38)"),
        ("##reference=ftp://1000genomes/hs37d5.fa.gz", "GRCh37 (hg19)"),
        ("##contig=<ID=chr1,assembly=T2T-CHM13v2.0>", "T2T-CHM13v2.0 (hs1)"),
        ("##reference=mine", None),
    ],
)
def test_another_assembly_is_named_where_the_header_tells_it(files, score, vcf, line, assembly):
    wrong = vcf("c 301 C A", header=f"##fileformat=VCFv4.2\n{line}\n")
    with pytest.raises(InputError) as found:
        score(files, wrong)
    assert (f"by its header it is of {assembly}" in str(found.value)) == (assembly is not None)
    assert "it is of another assembly" in str(found.value)
    made = score(files, wrong, largest_mismatch=1.0)
    assert made.table["skip"].tolist() == ["ref_mismatch"]


@pytest.mark.parametrize(
    ("name", "rule"), [("chrc", "prefix"), ("c", "prefix"), ("NC_1", {"NC_1": "c"})]
)
def test_contigs_of_other_names_are_found_as_is_said(files, score, vcf, name, rule):
    made = score(files, vcf(f"{name} 301 A C"), contig_names=rule)
    assert made.table["chrom"].tolist() == [name]
    assert made.table["llr"].notna().all()


@pytest.mark.parametrize("content", [b"", b"no VCF\n", b"##fileformat=VCFv4.2\n#CHROM\tPOS\n"])
def test_what_is_no_vcf_file_is_refused(files, score, tmp_path, content):
    (tmp_path / "x.vcf").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.vcf"):
        score(files, tmp_path / "x.vcf")
    with pytest.raises(InputError, match="`vcf` of the entry of variants"):
        score(files, tmp_path / "missing.vcf")


def test_a_job_that_was_stopped_goes_on_with_the_parts_that_it_had_finished(
    files, score, text, monkeypatch, caplog
):
    whole = score(files, text, part_records=2).table
    made, score_alleles = [], run.score_alleles

    def stop(*arguments):
        if callable(arguments[-1]):  # the timing before counts nothing
            if len(made) == 2:
                raise KeyboardInterrupt
            made.append(arguments)
        return score_alleles(*arguments)

    monkeypatch.setattr(run, "score_alleles", stop)
    with pytest.raises(KeyboardInterrupt):
        score(files, text, part_records=2, scores=list(SCORE_NAMES), layer=1)
    monkeypatch.setattr(run, "score_alleles", score_alleles)
    with caplog.at_level("INFO"):
        again = score(files, text, part_records=2, layer=1).table
    assert "2 of 4 parts to make" in caplog.text
    assert not np.allclose(again["l1"].dropna(), whole["l1"].dropna())
    caplog.clear()
    with caplog.at_level("INFO"):
        pd.testing.assert_frame_equal(score(files, text, part_records=2).table, whole)
    assert "4 of 4 parts to make" in caplog.text


def test_processes_share_the_parts_and_make_the_same_numbers(files, score, text):
    alone = score(files, text).table
    shared = score(files, text, part_records=3, threads=2).table
    pd.testing.assert_frame_equal(shared, alone, rtol=1e-5, atol=1e-6)
