"""Splice sites per base of GTF and GFF3 files: SpliceAI's own labels, on real genes of GRCh37."""

import gzip
import re
import shutil
import subprocess
from collections import defaultdict

import numpy as np
import pytest

from dnalm.benchmark.tasks.recipes.splice_annotation import cut_annotation
from dnalm.benchmark.tasks.recipes.splice_table import cut_table
from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.genome.canonical import choose_canonical, read_transcripts

from .test_splice_table import SHIPPED, store

FOLDER = "human_grch37_chr20_1-2Mb"
GTFS = ("gencodeV7.20_1000001-2000000.gtf.gz", "refGene.20_1000001-2000000.gtf.gz")
TABLE = "spliceai/canonical_dataset.chr1_0-1Mb.chr20_1-2Mb.txt"
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def cut(files, **changes):
    build = {"genome": "g", "recipe": "splice_annotation", "annotation": "a", "test_contigs": []}
    return cut_annotation(resolve_build(SHIPPED, {**build, **changes}), "mine.splice", files)


def read_exons(path):
    """Return {transcript id: (strand, ascending exons)} of a GTF, 1-based and closed."""
    found = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if cells[2] == "exon":
                name = re.search('transcript_id "([^"]+)"', cells[8])[1]
                found[name, cells[6]].append((int(cells[3]), int(cells[4])))
    return {name: (strand, sorted(exons)) for (name, strand), exons in found.items()}


@pytest.fixture(scope="module")
def chr20(tmp_path_factory, data_folder):
    """The piece of the genome; the GTF lines and the table's lines of the transcripts in both."""
    folder = tmp_path_factory.mktemp("annotation")
    genome = store(folder, data_folder / FOLDER / "20_1000001-2000000.fa.gz")
    sources = {name: read_exons(data_folder / FOLDER / name) for name in GTFS}
    table, chosen = [], {}
    for line in (data_folder / TABLE).read_text().splitlines():
        _, _, contig, strand, start, end, *borders = line.split("\t")
        ends, starts = ([int(text) for text in cell.split(",") if text] for cell in borders)
        if contig != "chr20":
            continue
        firsts, lasts = [int(start), *starts], [*ends, int(end)]
        same = (strand, list(zip(firsts, lasts, strict=True)))
        places = [(f, name) for f in GTFS for name, exons in sources[f].items() if exons == same]
        if places:
            table.append(line.replace("\tchr20\t", "\t20\t"))
            chosen[places[0]] = same
    (folder / "genes.txt").write_text("\n".join(table) + "\n")
    with gzip.open(folder / "genes.gtf.gz", "wt") as out:
        for name in GTFS:
            with gzip.open(data_folder / FOLDER / name, "rt") as file:
                for line in file:
                    found = re.search('transcript_id "([^"]+)"', line)
                    if found and (name, found[1]) in chosen:
                        out.write(line)
    return {
        **genome,
        "table": [str(folder / "genes.txt")],
        "annotation": [str(folder / "genes.gtf.gz")],
    }, {name: exons for (_, name), exons in chosen.items()}


def test_real_transcripts_of_a_gtf_have_the_rows_that_spliceais_table_gives(chr20):
    files, chosen = chr20
    assert len(chosen) == 13  # of the 15 genes of the table; of two neither file has the transcript
    build = {"genome": "g", "recipe": "splice_table", "table": "t", "test_contigs": []}
    for changes in ({}, {"length": 12_000}, {"context": "transcript"}):
        expected, _ = cut_table(resolve_build(SHIPPED, {**build, **changes}), "t", files)
        found, facts = cut(files, **changes)
        by_place = [rows.sort_values("provenance").reset_index() for rows in (expected, found)]
        assert len(found) > 70
        for column in ("sequence", "split", "provenance", "group"):
            assert by_place[0][column].tolist() == by_place[1][column].tolist()
        labels = [np.stack(rows["label"]) for rows in by_place]
        assert (labels[0] == labels[1]).all()
        assert facts["genes_kept"] == facts["genes"] == 13
        assert facts["donors_before_gt_or_gc"] == facts["train_donors"]
        assert facts["acceptors_behind_ag"] == facts["train_acceptors"]


def label_places(rows):
    """Return {(1-based position, strand): label} of all labelled bases of rows."""
    found = {}
    for row in rows.itertuples():
        start, end = map(int, row.provenance.partition(":")[2][:-3].split("-"))
        strand = row.provenance[-2]
        for offset in np.flatnonzero(row.label != -1):
            place = start + 1 + offset if strand == "+" else end - offset
            assert found.setdefault((int(place), strand), row.label[offset]) == row.label[offset]
    return found


def test_labels_are_those_of_a_brute_force_over_every_exonic_base(chr20):
    """A base is a donor where it is of an exon and the next one, downstream, of an intron."""
    files, chosen = chr20
    expected = {}
    for strand, exons in chosen.values():
        exonic = {place for first, last in exons for place in range(first, last + 1)}
        whole = range(exons[0][0], exons[-1][1] + 1)
        step = 1 if strand == "+" else -1
        for place in whole:
            inside = place in exonic
            donor = inside and place + step in whole and place + step not in exonic
            acceptor = inside and place - step in whole and place - step not in exonic
            expected[place, strand] = 1 if acceptor else 2 if donor else 0
    rows, _ = cut(files)
    assert label_places(rows) == expected


def test_labels_lie_beside_the_introns_that_bedtools_subtracts(chr20, tmp_path):
    if shutil.which("bedtools") is None:
        pytest.skip("bedtools is not installed")
    files, chosen = chr20
    whole, exons = [], []
    for name, (strand, spans) in chosen.items():
        whole.append(f"{name}\t{spans[0][0] - 1}\t{spans[-1][1]}\t{name}\t0\t{strand}\n")
        exons += [f"{name}\t{s - 1}\t{e}\t{name}\t0\t{strand}\n" for s, e in spans]
    for file, lines in (("whole.bed", whole), ("exons.bed", exons)):
        (tmp_path / file).write_text("".join(lines))
    command = ["bedtools", "subtract", "-s", "-a", "whole.bed", "-b", "exons.bed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = set()
    for line in done.stdout.splitlines():
        _, start, end, _, _, strand = line.split("\t")
        left, right = int(start), int(end) + 1  # the exonic bases beside it, 1-based
        donor, acceptor = (left, right) if strand == "+" else (right, left)
        expected |= {(donor, strand, 2), (acceptor, strand, 1)}
    rows, _ = cut(files)
    found = {(*place, int(label)) for place, label in label_places(rows).items() if label}
    assert found == expected
    assert len(found) > 120


def test_most_coding_bases_choose_the_transcript_of_the_table_for_most_genes(chr20, data_folder):
    """Of 10 of the 13 at least: GENCODE V7 and RefSeq have other transcripts beside them."""
    _, chosen = chr20
    introns = {tuple(exons[1:-1]) for _, exons in chosen.values()}
    found = set()
    for name in GTFS:
        own, _ = choose_canonical(
            read_transcripts(data_folder / FOLDER / name), "longest_cds", [], coding=True, source=""
        )
        found |= {tuple((s + 1, e) for s, e in one.exons[1:-1]) for one in own}
    assert len(introns & found) >= 10


# -- Planted genes: which transcript, which gene ---------------------------------------------------

EXONS = {"a": [(101, 130), (171, 223)], "b": [(101, 130), (151, 160), (171, 230)]}
CDS = {"a": [(110, 130), (171, 200)], "b": [(110, 130)]}
GTF_TAGS = {"a": "", "b": ' tag "basic"; tag "Ensembl_canonical";'}


def write_gtf(path, tags=GTF_TAGS, cds=CDS):
    lines = []
    for name, exons in EXONS.items():
        attributes = f'gene_id "g"; transcript_id "{name}";{tags[name]}'
        spans = [("exon", span) for span in exons] + [("CDS", span) for span in cds.get(name, [])]
        places = [f"{kind}\t{start}\t{end}" for kind, (start, end) in spans]
        lines += [f"chr2\tx\t{place}\t.\t+\t.\t{attributes}" for place in places]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def write_gff3(path):
    """The same as Ensembl writes it: the gene and the tags on the transcripts' own lines."""
    lines = ["##gff-version 3", "chr2\tx\tgene\t101\t230\t.\t+\t.\tID=gene:g;Name=G"]
    for name, exons in EXONS.items():
        tag = ";tag=basic,Ensembl_canonical" if name == "b" else ""
        own = f"ID=transcript:{name};Parent=gene:g{tag}"
        lines.append(f"chr2\tx\tmRNA\t{exons[0][0]}\t{exons[-1][1]}\t.\t+\t.\t{own}")
        parent = f"Parent=transcript:{name}"
        lines += [f"chr2\tx\texon\t{s}\t{e}\t.\t+\t.\t{parent}" for s, e in exons]
        lines += [f"chr2\tx\tCDS\t{s}\t{e}\t.\t+\t0\tID=p{name};{parent}" for s, e in CDS[name]]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


TAGS = ["MANE_Select", "Ensembl_canonical"]


@pytest.mark.parametrize("write", [write_gtf, write_gff3])
@pytest.mark.parametrize(("rule", "expected"), [("longest_cds", "a"), ("tag", "b"), ("first", "a")])
def test_each_rule_chooses_its_transcript_of_a_gene_in_both_formats(
    write, rule, expected, tmp_path
):
    read = read_transcripts(write(tmp_path / "x"))
    (chosen,), left_out = choose_canonical(read, rule, TAGS, coding=True, source="x")
    assert chosen.name.removeprefix("transcript:") == expected
    assert chosen.gene.removeprefix("gene:") == "g"
    assert not any(left_out.values())


def test_of_equally_long_cds_the_most_exonic_bases_decide(tmp_path):
    path = write_gtf(tmp_path / "x.gtf", cds={"a": [(110, 130)], "b": [(110, 130)]})
    read = read_transcripts(path)
    (chosen,), _ = choose_canonical(read, "longest_cds", [], coding=True, source="x")
    assert chosen.name == "b"


def test_bases_of_lines_that_are_there_twice_or_overlap_count_once(tmp_path):
    # Without repeats a has 51 coding bases, b 60.
    cds = {"a": [(110, 130), (171, 200)] * 2 + [(112, 130)], "b": [(171, 230)]}
    read = read_transcripts(write_gtf(tmp_path / "x.gtf", cds=cds))
    (chosen,), _ = choose_canonical(read, "longest_cds", [], coding=True, source="x")
    assert chosen.name == "b"


def test_escapes_and_cases_of_gff3_lead_from_a_cds_to_its_gene(tmp_path):
    path = tmp_path / "x.gff3"
    write_gff3(path)
    plain = read_transcripts(path)
    text = path.read_text().replace("Parent=transcript:", "Parent=transcript%3A")
    path.write_text(text.replace("\tCDS\t", "\tcds\t").replace("chr2", "chr%32"))
    assert read_transcripts(path) == plain


def test_a_tag_that_comes_first_wins_and_genes_without_one_are_counted_or_refused(tmp_path):
    path = write_gtf(tmp_path / "x.gtf", {"a": ' tag "MANE_Select";', "b": GTF_TAGS["b"]})
    read = read_transcripts(path)
    (chosen,), _ = choose_canonical(read, "tag", TAGS, coding=True, source="x")
    assert chosen.name == "a"
    other = (tmp_path / "x.gtf").read_text() + 'chr2\tx\tCDS\t9\t20\t.\t-\t.\tgene_id "h"; '
    (tmp_path / "y.gtf").write_text(other + 'transcript_id "c";\n')
    chosen, left_out = choose_canonical(
        read_transcripts(tmp_path / "y.gtf"), "tag", TAGS, coding=True, source="y"
    )
    assert [one.name for one in chosen] == ["a"]
    assert left_out["genes_without_a_preferred_tag"] == 1
    with pytest.raises(InputError, match=r"no transcript has a tag RefSeq Select .*Ensembl_can"):
        choose_canonical(read, "tag", ["RefSeq Select"], coding=True, source="x")


def test_genes_without_cds_are_counted_and_a_file_without_any_is_refused(tmp_path):
    read = read_transcripts(write_gtf(tmp_path / "x.gtf", cds={}))
    with pytest.raises(InputError, match="none of its 1 genes has a transcript with CDS lines"):
        choose_canonical(read, "first", [], coding=True, source="x")
    (chosen,), _ = choose_canonical(read, "longest_cds", [], coding=False, source="x")
    assert chosen.name == "b"


def test_transcripts_of_no_gene_are_left_out_and_refused_where_there_are_no_others(
    tmp_path, caplog
):
    path = tmp_path / "x.gff3"
    write_gff3(path)
    lost = "chr2\tx\texon\t101\t130\t.\t+\t.\tParent=t1\n"
    path.write_text(path.read_text() + lost)
    assert len(read_transcripts(path)) == 2
    assert "1 transcripts belong to no gene and are left out, the first is t1." in caplog.text
    path.write_text(lost)
    with pytest.raises(InputError, match=r"x.gff3: its 1 transcripts, the first t1, belong to no"):
        read_transcripts(path)


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("human_grch38_chr21_25-26Mb/ensembl84.chr21.gff3.gz", 230),
        ("multispecies/saccharomyces_cerevisiae_s288c_r64.gff3.gz", 5_900),
        ("multispecies/drosophila_melanogaster_1pct.gff3.gz", 70),
        ("multispecies/caenorhabditis_elegans_1pct.gff3.gz", 150),
    ],
)
def test_files_of_four_sources_have_genes_with_one_transcript_each(name, genes, data_folder):
    """Ensembl, SGD, FlyBase and WormBase write parents and coding parts each in their way."""
    read = read_transcripts(data_folder / name)
    chosen, _ = choose_canonical(read, "longest_cds", [], coding=True, source=name)
    keys = [(one.contig, one.strand, one.gene) for one in chosen]
    assert len(set(keys)) == len(keys) >= genes
    assert all(one.coding for one in chosen)


def test_gaps_shorter_than_an_intron_are_none_and_counted(tmp_path):
    fasta = tmp_path / "g.fa"
    letters = np.random.default_rng(1).choice(list("ACGT"), 400)
    fasta.write_text(">chr2\n" + "".join(letters) + "\n")
    exons = [(101, 130), (134, 160), (201, 250)]
    lines = [
        f'chr2\tx\t{kind}\t{start}\t{end}\t.\t-\t.\tgene_id "g"; transcript_id "t";\n'
        for start, end in exons
        for kind in ("exon", "CDS")
    ]
    (tmp_path / "x.gtf").write_text("".join(lines))
    files = {**store(tmp_path, fasta), "annotation": [str(tmp_path / "x.gtf")]}
    rows, facts = cut(files, block=50, length=70)
    assert facts["gaps_that_are_no_intron"] == 1
    assert {place: label for place, label in label_places(rows).items() if label} == {
        (201, "-"): 2,
        (160, "-"): 1,
    }
    assert "test_genes_with_paralog_dropped" not in facts
