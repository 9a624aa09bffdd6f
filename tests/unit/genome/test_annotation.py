"""GTF and GFF3 files: coordinates, splice sites on both strands, and lines that are refused."""

import gzip
import logging

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.genome.annotation import Transcript, read_gtf, splice_sites, write_gtf


def gtf_line(feature, start, end, strand="+", name="t1", contig="c"):
    attributes = f'gene_id "g"; transcript_id "{name}"; exon_number "1";'
    return "\t".join([contig, "x", feature, str(start), str(end), ".", strand, ".", attributes])


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
        contig="c",
        strand="-",
        gene="g",
        name="t1",
        level=None,
        exons=((10, 20), (40, 60)),
        coding=((14, 20),),
    )
    assert second.contig == "d"


def test_gff3_says_the_same_as_gtf_of_several_parents_and_levels(tmp_path):
    gtf, gff3 = tmp_path / "x.gtf", tmp_path / "x.gff3"
    rows = [("c", 11, 20), ("c", 41, 60)]
    gtf.write_text(
        "".join(
            f"{c}\tx\texon\t{start}\t{end}\t.\t-\t.\t"
            f'gene_id "g"; transcript_id "{name}"; level 2;\n'
            for c, start, end in rows
            for name in ("t1", "t2")
        )
    )
    gff3.write_text(
        "##gff-version 3\nc\tx\tmRNA\t11\t60\t.\t-\t.\tID=t1\n"
        + "".join(
            f"{c}\tx\texon\t{start}\t{end}\t.\t-\t.\tID=e{start};Parent=t1,t2;gene_id=g;level=2\n"
            for c, start, end in rows
        )
    )
    assert read_gtf(gff3) == read_gtf(gtf)
    assert [found.level for found in read_gtf(gtf)] == [2, 2]


def test_the_sequences_of_a_gff3_file_are_no_lines_of_it(tmp_path):
    path = tmp_path / "x.gff3"
    line = "c\tx\texon\t11\t20\t.\t-\t.\tParent=t1\n"
    path.write_text(f"##gff-version 3\n{line}###\n")
    alone = read_gtf(path)
    path.write_text(f"##gff-version 3\n{line}##FASTA\n>c\nACGTACGT\n{line}")
    assert read_gtf(path) == alone


def transcript(strand, exons=((10, 20), (40, 60), (60, 70)), name="t"):
    return Transcript(
        contig="c", strand=strand, gene="g", name=name, level=None, exons=exons, coding=()
    )


def test_donor_is_the_first_and_acceptor_the_last_intron_base_in_reading_direction():
    def sites(strand):
        return splice_sites([transcript(strand)], 10).to_numpy().tolist()

    # The intron is 20 .. 39; exons that touch have none between them.
    assert sites("+") == [["c", 20, "+", "donor"], ["c", 39, "+", "acceptor"]]
    assert sites("-") == [["c", 20, "-", "acceptor"], ["c", 39, "-", "donor"]]


def test_sites_of_several_transcripts_are_listed_once():
    again = transcript("+", name="u")
    other = transcript("+", exons=((10, 20), (45, 60)), name="v")
    assert list(splice_sites([transcript("+"), again, other], 10)["position"]) == [20, 39, 44]


def test_what_is_written_reads_back_equal(tmp_path):
    made = [
        Transcript(
            contig="c",
            strand=s,
            gene=f"g{s}",
            name=f"t{s}",
            level=None,
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
    ("line", "sentence"),
    [
        (
            "c\tx\texon\t1\t9",
            r"x.gtf:2: a GTF or GFF3 line has 9 columns .* has 5",
        ),
        (gtf_line("exon", 0, 9), r"x.gtf:2: '0' to '9' is not an interval"),
        (gtf_line("exon", 1, 9, "."), r"x.gtf holds no exon line .* \(1 are without a strand\)"),
        (
            "c\tx\texon\t1\t9\t.\t+\t.\tID=e",
            r'1 are without a transcript.* "..." \(GTF\) or Parent=',
        ),
        (gtf_line("gene", 1, 9), r"x.gtf holds no exon line"),
    ],
)
def test_a_bad_gtf_line_is_named(tmp_path, line, sentence):
    path = tmp_path / "x.gtf"
    path.write_text(gtf_line("gene", 1, 9) + "\n" + line + "\n")
    with pytest.raises(InputError, match=sentence):
        read_gtf(path)


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "x.gtf.gz"
    path.write_bytes(gzip.compress((gtf_line("exon", 1, 9) + "\n").encode() * 10_000)[:-30])
    with pytest.raises(InputError, match=r"x.gtf.gz cannot be read \(.*\): fetch the file again"):
        read_gtf(path)


def write_lines(path, *rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def feature(kind, start, end, attributes, strand="+"):
    return ("c", "x", kind, start, end, ".", strand, ".", attributes)


GOOD = [feature("exon", s, e, 'gene_id "g"; transcript_id "t1";') for s, e in ((11, 20), (41, 60))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (feature("exon", 70, 90, 'gene_id "h"; transcript_id "t2";', "."), "without a strand"),
        (feature("exon", 70, 90, 'transcript_id "t2";', "?"), "without a strand"),
        (feature("CDS", 70, 90, 'gene_id "h"; transcript_id "";'), "without a transcript"),
        (feature("exon", 70, 90, "ID=e7;Parent="), "without a transcript"),
        (feature("exon", 70, 90, 'orig_transcript_id "t2";'), "without a transcript"),
    ],
)
def test_a_line_without_a_strand_or_transcript_is_left_out_and_counted(
    tmp_path, caplog, line, reason
):
    alone = read_gtf(write_lines(tmp_path / "a.gtf", *GOOD))
    with caplog.at_level(logging.WARNING):
        assert read_gtf(write_lines(tmp_path / "x.gtf", *GOOD, line)) == alone
    said = f"x.gtf: 1 exon and CDS lines are {reason} and are left out, the first is line 3"
    assert said in caplog.text


@pytest.mark.parametrize(
    "attributes",
    [
        "gene_id g; transcript_id t1;",
        "gene_id g; transcript_id t1",
        'transcript_id  "t1"; gene_id "g";',
        "gene_id g ;transcript_id t1 ; exon_number 1",
        'orig_transcript_id "o"; gene_id "g"; transcript_id "t1";',
    ],
)
def test_ids_without_quotes_are_those_with_quotes(tmp_path, attributes):
    rows = [feature("exon", s, e, attributes) for s, e in ((11, 20), (41, 60))]
    assert read_gtf(write_lines(tmp_path / "x.gtf", *rows)) == read_gtf(
        write_lines(tmp_path / "good.gtf", *GOOD)
    )


def test_in_gff3_the_parent_counts_before_the_name_of_a_transcript(tmp_path):
    # One RefSeq record aligned twice: two transcripts of one transcript_id.
    rows = [
        feature("exon", start, end, f"ID=e{start};Parent={parent};transcript_id=NM_1")
        for parent, start, end in (("r1", 1, 9), ("r1", 21, 29), ("r2", 101, 109))
    ]
    found = read_gtf(write_lines(tmp_path / "x.gff3", *rows))
    assert [(one.name, len(one.exons)) for one in found] == [("r1", 2), ("r2", 1)]


def test_the_parts_of_a_transcript_of_cds_alone_are_its_exons(tmp_path, caplog):
    rows = [
        *GOOD,
        feature("CDS", 11, 20, 'transcript_id "t1";'),  # of no gene, and yet the one with exons
        feature("CDS", 201, 220, 'gene_id "p"; transcript_id "p1";', "-"),
        feature("CDS", 101, 120, 'gene_id "p"; transcript_id "p1";', "-"),
    ]
    with caplog.at_level(logging.WARNING):
        found = read_gtf(write_lines(tmp_path / "x.gtf", *rows))
    alone = found[-1]
    assert (alone.name, alone.exons, alone.coding) == ("p1", *[((100, 120), (200, 220))] * 2)
    assert "1 transcripts have CDS lines and no exon line, the first is p1" in caplog.text
    sites = splice_sites(found, 10)
    assert sites[sites["strand"] == "-"]["position"].tolist() == [120, 199]
    only = read_gtf(write_lines(tmp_path / "y.gtf", *rows[-2:]))
    assert only == [alone]


@pytest.mark.parametrize("gap", range(12))
def test_a_gap_shorter_than_the_smallest_intron_has_no_site(gap):
    exons = ((10, 20), (20 + gap, 60))
    found = splice_sites([transcript("+", exons=exons)], 4)["position"].tolist()
    assert found == ([20, 19 + gap] if gap >= 4 else [])


def test_introns_are_what_no_exon_of_a_transcript_covers():
    random = np.random.default_rng(11)
    for _ in range(200):
        starts = np.sort(random.integers(0, 300, 6))
        exons = tuple((int(s), int(s + random.integers(1, 40))) for s in starts)
        covered = np.zeros(400, dtype=bool)
        for start, end in exons:
            covered[start:end] = True
        inside = ~covered[starts[0] : max(end for _, end in exons)]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]]))) + starts[0]
        runs = [(s, e) for s, e in zip(edges[::2], edges[1::2], strict=True) if e - s >= 5]
        sites = splice_sites([transcript("+", exons=exons)], 5)
        donors = sites[sites["kind"] == "donor"]["position"].tolist()
        acceptors = sites[sites["kind"] == "acceptor"]["position"].tolist()
        assert donors == [s for s, _ in runs]
        assert acceptors == [e - 1 for _, e in runs]


# -- What other programs write --------------------------------------------------------------------

IDS = 'gene_id "g"; transcript_id "t1";'
WHOLE = [*GOOD, feature("CDS", 15, 20, IDS), feature("CDS", 41, 50, IDS)]


@pytest.mark.parametrize("names", [("Exon", "Cds"), ("EXON", "CDS"), ("exon", "cds")])
def test_features_are_known_in_any_case(tmp_path, names):
    written = dict(zip(("exon", "CDS"), names, strict=True))
    rows = [(*row[:2], written[row[2]], *row[3:]) for row in WHOLE]
    found = read_gtf(write_lines(tmp_path / "x.gtf", *rows))
    assert found == read_gtf(write_lines(tmp_path / "good.gtf", *WHOLE))
    assert found[0].coding == ((14, 20), (40, 50))


@pytest.mark.parametrize("named", [[0], [0, 1], [2, 3], [1, 3], [3]])
def test_lines_that_name_no_gene_are_of_that_of_their_transcript(tmp_path, named):
    rows = [
        row if number in named else (*row[:8], 'transcript_id "t1"; level 2;')
        for number, row in enumerate(WHOLE)
    ]
    (found,) = read_gtf(write_lines(tmp_path / "x.gtf", *rows))
    assert (found.gene, found.level) == ("g", 2)
    assert (found.exons, found.coding) == (((10, 20), (40, 60)), ((14, 20), (40, 50)))


def test_a_transcript_id_of_two_genes_is_two_transcripts(tmp_path):
    # NCBI's GTF calls every transcript without a name unknown_transcript_1.
    rows = [*WHOLE, *[(*row[:3], row[3] + 100, row[4] + 100, *row[5:]) for row in WHOLE]]
    rows[4:] = [(*row[:8], row[8].replace('"g"', '"h"')) for row in rows[4:]]
    found = read_gtf(write_lines(tmp_path / "x.gtf", *rows))
    assert [(one.gene, len(one.exons)) for one in found] == [("g", 2), ("h", 2)]


@pytest.mark.parametrize(
    "attributes",
    [
        'ref_gene_id "r"; gene_id "g"; orig_transcript_id "o"; transcript_id "t1";',
        'note "was gene_id z; transcript_id y"; gene_id "g"; transcript_id "t1";',
        'note "transcript_id "; gene_id "g"; transcript_id "t1";',
        "Parent=t1;gene_id=g;Note=transcript_id as gene_id z and Parent as before",
        "Note=the transcript_id y was lost;Parent=t1;gene_id=g",
        "ref_gene_id=r;ID=e;Parent = t1 ;gene_id=g",
        'gene_id="g";transcript_id="t1"',
    ],
)
def test_what_ends_as_a_key_or_stands_in_a_note_is_no_id(tmp_path, attributes):
    rows = [feature("exon", s, e, attributes) for s, e in ((11, 20), (41, 60))]
    assert read_gtf(write_lines(tmp_path / "x.gtf", *rows)) == read_gtf(
        write_lines(tmp_path / "good.gtf", *GOOD)
    )


def test_a_line_that_is_there_twice_counts_once(tmp_path):
    once = read_gtf(write_lines(tmp_path / "good.gtf", *WHOLE))
    assert read_gtf(write_lines(tmp_path / "x.gtf", *WHOLE, *WHOLE[1:3])) == once


@pytest.mark.parametrize("before", ["", "##fasta\n", "## FASTA\n"])
def test_sequences_end_a_gff3_file_without_a_directive_too(tmp_path, before):
    path = tmp_path / "x.gff3"
    line = "c\tx\texon\t11\t20\t.\t-\t.\tParent=t1\n"
    path.write_text(line)
    alone = read_gtf(path)
    path.write_text(f"{line}  \n{before}>c\nACGT\n")
    assert read_gtf(path) == alone


def test_escapes_of_gff3_are_decoded_and_those_of_gtf_are_letters(tmp_path):
    row = ("gi%7C5", "x", "exon", 11, 20, ".", "+", ".")
    path = write_lines(tmp_path / "x.gff3", (*row, "Parent=t%2C1,t%32;gene_id=g%3B1"))
    found = [(one.contig, one.name, one.gene) for one in read_gtf(path)]
    assert found == [("gi|5", "t,1", "g;1"), ("gi|5", "t2", "g;1")]
    path = write_lines(tmp_path / "x.gtf", (*row, 'gene_id "g%3B1"; transcript_id "t%2C1";'))
    (one,) = read_gtf(path)
    assert (one.contig, one.name, one.gene) == ("gi%7C5", "t%2C1", "g%3B1")
