"""BED and GTF files: coordinates, splice sites on both strands, and lines that are refused."""

import gzip

import pytest

from dnalm.errors import InputError
from dnalm.genome.annotation import (
    Interval,
    SpliceSite,
    Transcript,
    read_bed,
    read_gtf,
    splice_sites,
    write_bed,
    write_gtf,
)


def gtf_line(feature, start, end, strand="+", name="t1", contig="c"):
    attributes = f'gene_id "g"; transcript_id "{name}"; exon_number "1";'
    return "\t".join([contig, "x", feature, str(start), str(end), ".", strand, ".", attributes])


def test_bed_is_read_as_it_stands_with_three_to_six_columns(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text(
        "#c\ntrack name=x\nc\t0\t10\nc\t5\t6\tone\nd 7 9 two 0 -\n\nc\t1\t2\tz\t.\t+\tmore\n"
    )
    read = read_bed(path)
    assert read[0] == Interval(contig="c", start=0, end=10, name="c:0-10", strand=".")
    assert read[1].name == "one"
    assert read[2] == Interval(contig="d", start=7, end=9, name="two", strand="-")
    assert read[3].strand == "+"
    packed = tmp_path / "x.bed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_bed(packed) == read


def test_gtf_becomes_0_based_transcripts_with_sorted_exons(tmp_path):
    path = tmp_path / "x.gtf"
    lines = [
        gtf_line("gene", 1, 60),
        gtf_line("exon", 41, 60, "-"),
        gtf_line("exon", 11, 20, "-"),
        gtf_line("CDS", 15, 20, "-"),
        gtf_line("exon", 11, 20, "-", contig="d"),
    ]
    path.write_text("\n".join(lines) + "\n")
    first, second = read_gtf(path)
    assert first == Transcript(
        contig="c", strand="-", gene="g", name="t1", exons=((10, 20), (40, 60)), coding=((14, 20),)
    )
    assert second.contig == "d"


def transcript(strand, exons=((10, 20), (40, 60), (60, 70)), name="t"):
    return Transcript(contig="c", strand=strand, gene="g", name=name, exons=exons, coding=())


def test_donor_is_the_first_and_acceptor_the_last_intron_base_in_reading_direction():
    def site(position, strand, kind):
        return SpliceSite(contig="c", position=position, strand=strand, kind=kind)

    # The intron is 20 .. 39; exons that touch have none between them.
    assert splice_sites([transcript("+")]) == [site(20, "+", "donor"), site(39, "+", "acceptor")]
    assert splice_sites([transcript("-")]) == [site(20, "-", "acceptor"), site(39, "-", "donor")]


def test_sites_of_several_transcripts_are_listed_once():
    again = transcript("+", name="u")
    other = transcript("+", exons=((10, 20), (45, 60)), name="v")
    assert [s.position for s in splice_sites([transcript("+"), again, other])] == [20, 39, 44]


def test_what_is_written_reads_back_equal(tmp_path):
    intervals = [Interval(contig="c", start=3, end=9, name="n", strand=s) for s in "+-."]
    write_bed(intervals, tmp_path / "x.bed.gz")
    assert read_bed(tmp_path / "x.bed.gz") == intervals
    made = [
        Transcript(
            contig="c",
            strand=s,
            gene=f"g{s}",
            name=f"t{s}",
            exons=((10, 20), (40, 60)),
            coding=((15, 20), (40, 50)),
        )
        for s in "+-"
    ]
    write_gtf(made, "x", tmp_path / "x.gtf")
    assert read_gtf(tmp_path / "x.gtf") == made
    parts = [line.split("\t") for line in (tmp_path / "x.gtf").read_text().splitlines()]
    # Forward: 5 bases of the first part leave 2, so the next begins with the codon's last base.
    frames = {(row[6], row[3]): row[7] for row in parts if row[2] == "CDS"}
    assert frames == {("+", "16"): "0", ("+", "41"): "1", ("-", "41"): "0", ("-", "16"): "2"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("c\t5\n", r"x.bed:1: a BED line needs contig, start and end"),
        ("c\t1\t2\nc\tone\t9\n", r"x.bed:2: 'one' to '9' is not an interval"),
        ("c\t9\t9\n", r"x.bed:1: '9' to '9' is not an interval"),
        ("c\t1\t9\tn\t0\tplus\n", r"x.bed:1: the strand is 'plus'"),
        ("#only\n", r"x.bed holds no interval"),
        ("<html>\n", r"x.bed:1: a BED line needs"),
    ],
)
def test_a_bad_bed_line_is_named(tmp_path, text, sentence):
    path = tmp_path / "x.bed"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_bed(path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("c\tx\texon\t1\t9", r"x.gtf:2: a GTF line has 9 columns between tabs, this one has 5"),
        (gtf_line("exon", 0, 9), r"x.gtf:2: '0' to '9' is not an interval"),
        (gtf_line("exon", 1, 9, "."), r"x.gtf:2: an exon line needs a strand"),
        ("c\tx\texon\t1\t9\t.\t+\t.\tID=e;Parent=t", r"x.gtf:2: .* \(GFF3 is not read\)"),
        (gtf_line("gene", 1, 9), r"x.gtf holds no exon line"),
    ],
)
def test_a_bad_gtf_line_is_named(tmp_path, line, sentence):
    path = tmp_path / "x.gtf"
    path.write_text(gtf_line("gene", 1, 9) + "\n" + line + "\n")
    with pytest.raises(InputError, match=sentence):
        read_gtf(path)


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"c\t1\t2\n" * 10_000)[:-30])
    with pytest.raises(InputError, match=r"x.bed.gz cannot be read \(.*\): fetch the file again"):
        read_bed(path)
