"""Splice sites per base: SpliceAI's worked numbers on GRCh37, planted genes of either strand."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from pyfaidx import Fasta

from dnalm.benchmark.tasks.recipes.gene_table import read_genes
from dnalm.benchmark.tasks.recipes.splice_table import cut_table
from dnalm.benchmark.tasks.table import make_task, read_task, write_task
from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.genome.bases import write_bases

ROOT = Path(__file__).parents[5]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
BUILD = {"genome": "g", "recipe": "splice_table", "table": "t", "test_contigs": ["chr3"]}


def store(folder, source, contigs=None):
    paths = {
        "bases": folder / "bases.npy",
        "contigs": folder / "contigs.tsv",
        "manifest": folder / "manifest.json",
    }
    write_bases(source, name="g", config={"contigs": contigs} if contigs else {}, **paths)
    files = {key: [str(path)] for key, path in paths.items() if key != "manifest"}
    return {**files, "genome": [str(paths["manifest"])]}


def cut(files, **changes):
    return cut_table(resolve_build(SHIPPED, {**BUILD, **changes}), "mine.splice", files)


def sites(rows, block=5000):
    """Return {class: offsets in the transcript} of the windows of one gene, in their order."""
    flank = (len(rows["label"].iloc[0]) - block) // 2
    labels = np.concatenate([label[flank : flank + block] for label in rows["label"]])
    return {kind: np.flatnonzero(labels == kind).tolist() for kind in (1, 2)}, labels


@pytest.fixture(scope="module")
def chr20(tmp_path_factory, data_folder):
    fasta = data_folder / "human_grch37_chr20_1-2Mb/20_1000001-2000000.fa.gz"
    table = data_folder / "spliceai/canonical_dataset.chr1_0-1Mb.chr20_1-2Mb.txt"
    folder = tmp_path_factory.mktemp("chr20")
    text = "".join(line for line in table.open() if "\tchr20\t" in line)
    (folder / "genes.txt").write_text(text.replace("\tchr20\t", "\t20\t"))
    return {**store(folder, fasta), "table": [str(folder / "genes.txt")]}


def test_chr20_has_the_worked_numbers_of_genes_bases_windows_and_sites(chr20):
    rows, facts = cut(chr20, test_contigs=[])
    expected = {
        "genes_kept": 15,
        "train_bases": 462_126,
        "train_windows": 98,
        "train_windows_without_site": 46,
        "train_acceptors": 80,
        "train_donors": 80,
        "donors_before_gt_or_gc": 80,
        "acceptors_behind_ag": 80,
        "sites": 160,
    }
    assert {key: facts[key] for key in expected} == expected
    assert len(rows) == 98
    assert {len(text) for text in rows["sequence"]} == {5994}
    labels = np.concatenate(list(rows["label"]))
    assert [int((labels == kind).sum()) for kind in (0, 1, 2)] == [462_126 - 160, 80, 80]


def test_snph_and_pdyn_have_the_worked_offsets_on_their_strands(chr20, tmp_path):
    genes = {gene.name: gene for gene in read_genes(chr20["table"][0])}
    lines = Path(chr20["table"][0]).read_text().splitlines()
    for name, length, windows, acceptors, donors in (
        ("SNPH", 43_013, 9, [338, 30009, 30829], [81, 444, 30105]),
        ("PDYN", 14_992, 3, [1105, 10645, 12790], [61, 1164, 10792]),
    ):
        assert genes[name].bases == length
        table = tmp_path / f"{name}.txt"
        table.write_text(next(line for line in lines if line.startswith(f"{name}\t")))
        rows, _ = cut({**chr20, "table": [str(table)]}, test_contigs=[])
        assert len(rows) == windows
        found, labels = sites(rows)
        assert found[1][:3] == acceptors
        assert found[2][:3] == donors
        assert int((labels != -1).sum()) == length
        text = "".join(t[497:5497] for t in rows["sequence"])
        donor = {"SNPH": 81, "PDYN": 10_792}[name]
        piece = text[donor - 2 : donor + 7]
        assert piece == {"SNPH": "CAGGTGATG", "PDYN": "CTGGTAGGT"}[name]


def test_windows_that_fit_the_second_generation_hold_the_same_labels(chr20):
    short, _ = cut(chr20, test_contigs=[])
    long, _ = cut(chr20, test_contigs=[], length=12_000)
    assert {len(text) for text in long["sequence"]} == {12_000}
    for one, other in zip(short.itertuples(), long.itertuples(), strict=True):
        assert (one.label[497:5497] == other.label[3500:8500]).all()
        assert one.sequence == other.sequence[3003:8997]
        assert (other.label[:3500] == -1).all()


def test_context_of_the_transcript_is_n_outside_of_it_and_drops_no_site(chr20):
    whole, _ = cut(chr20, test_contigs=[])
    bounded, facts = cut(chr20, test_contigs=[], context="transcript")
    assert facts["train_acceptors"] == 80
    assert [a.tolist() for a in whole["label"]] == [b.tolist() for b in bounded["label"]]
    for one, other in zip(whole["sequence"], bounded["sequence"], strict=True):
        assert all(b in (a, "N") for a, b in zip(one, other, strict=True))
    first = bounded["sequence"].iloc[0]
    assert first[:497] == "N" * 497
    assert "N" not in first[497:5497]


# -- Planted genes ---------------------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path):
    """Two contigs; a gene on either strand of each, with one intron GT ... AG of known place."""
    random = np.random.default_rng(1)
    contigs = {}
    lines = []
    for contig in ("chr2", "chr3"):
        letters = random.choice(list("ACGT"), 400)
        letters[[130, 131, 168, 169]] = list("GTAG")  # plus: intron of 0-based 130 to 169
        letters[[250, 251, 288, 289]] = list("CTAC")  # minus: 250 to 289
        contigs[contig] = "".join(letters)
        lines += [
            f"{contig}plus\t0\t{contig}\t+\t101\t223\t130,\t171,",
            f"{contig}minus\t{int(contig == 'chr3')}\t{contig}\t-\t231\t330\t250,\t291,",
        ]
    fasta = tmp_path / "g.fa"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    table = tmp_path / "genes.txt"
    table.write_text("\n".join(lines) + "\n")
    return {**store(tmp_path, fasta), "table": [str(table)]}, fasta


SMALL = {"block": 50, "length": 70}


def test_planted_sites_lie_where_they_were_planted_on_both_strands(planted):
    files, fasta = planted
    rows, facts = cut(files, test_paralogs="keep", **SMALL)
    assert facts["donors_before_gt_or_gc"] == facts["acceptors_behind_ag"] == 4
    assert rows["split"].tolist() == ["train"] * 5 + ["test"] * 5
    genome = Fasta(str(fasta))
    for row in rows.itertuples():
        contig, _, span = row.provenance[:-3].partition(":")
        start, end = map(int, span.split("-"))
        piece = str(genome[contig])[start:end]
        strand = row.provenance[-2]
        assert row.sequence == (piece if strand == "+" else piece.translate(COMPLEMENT)[::-1])
        for offset, label in enumerate(row.label):
            place = start + offset if strand == "+" else end - 1 - offset  # 0-based
            planted_sites = {129: 2, 170: 1} if strand == "+" else {290: 2, 249: 1}
            if label > 0:
                assert planted_sites[place] == label
    found, labels = sites(rows.iloc[:3], 50)
    assert found == {1: [70], 2: [29]}
    assert (labels != -1).sum() == 123
    found, labels = sites(rows.iloc[3:5], 50)  # minus: offsets count from base 330 down
    assert found == {1: [80], 2: [39]}


def test_paralogs_and_chromosomes_split_genes_and_what_is_dropped_is_counted(planted):
    files, _ = planted
    rows, facts = cut(files, **SMALL)
    assert facts["test_genes_with_paralog_dropped"] == 1
    assert rows["split"].value_counts().to_dict() == {"train": 5, "test": 3}
    assert set(rows.loc[rows["split"] == "test", "group"]) == {"chr3"}


def test_genes_that_are_there_twice_are_read_once_and_counted(planted, caplog):
    files, _ = planted
    once, facts = cut(files, **SMALL)
    table = Path(files["table"][0])
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[0], lines[0].replace("plus", "other")]) + "\n")
    rows, found = cut({**files, "table": [str(table), str(table)]}, **SMALL)
    # A gene of another name at the same place is one of its own.
    assert len(rows) == len(once) + 3
    assert (found["genes"], found["genes_repeated"]) == (12, 7)
    assert found["genes_on_other_contigs"] == facts["genes_on_other_contigs"] == 0
    assert "7 genes are there twice and are read once" in caplog.text
    assert "genes_repeated" not in facts


def test_the_task_is_one_of_bases_with_every_window_and_its_facts(planted, tmp_path):
    files, _ = planted
    task = {
        "kind": "per_base",
        "classes": 3,
        "format": "auto",
        "sequence_column": "sequence",
        "label_column": "label",
        "min_bases": 6,
        "shuffle_labels": False,
        "seed": 42,
        "build": resolve_build(SHIPPED, {**BUILD, "test_paralogs": "keep", **SMALL}),
    }
    kfold = {"scheme": "kfold", "splits": 2, "validation_share": 0.1, "seed": 42}
    table, summary = make_task(files, task, "mine.splice", kfold)
    write_task(table, summary, str(tmp_path / "t.parquet"), str(tmp_path / "t.json"))
    rows = read_task(str(tmp_path / "t.parquet"))
    assert rows["label"].iloc[0].dtype == np.int8
    assert len(rows) == 10
    assert summary["bases_per_class"]["test"] == [123 + 100 - 4, 2, 2]
    assert summary["build"]["test_windows"] == 5
    assert summary["kind"] == "per_base"


def test_coordinates_that_count_from_0_or_of_another_assembly_are_refused(planted, tmp_path):
    files, _ = planted
    lines = Path(files["table"][0]).read_text().splitlines()
    moved = tmp_path / "moved.txt"
    moved.write_text(
        "\n".join(
            "\t".join(
                cell if i < 4 else ",".join(str(int(n) - 3) for n in cell.split(",") if n)
                for i, cell in enumerate(line.split("\t"))
            )
            for line in (f"{number}{line}" for number in range(3) for line in lines)
        )
    )
    with pytest.raises(InputError, match=r"of its 24 splice sites .* are beside GT, GC or AG"):
        cut({**files, "table": [str(moved)]}, test_paralogs="keep", **SMALL)


def test_genes_that_reach_over_what_is_stored_are_refused_or_counted(planted, tmp_path):
    files, _ = planted
    table = tmp_path / "more.txt"
    table.write_text(
        Path(files["table"][0]).read_text() + "far\t0\tchr2\t+\t301\t900\t350,\t371,\n"
    )
    files = {**files, "table": [str(table)]}
    with pytest.raises(InputError, match=r"far at chr2:301-900 reaches over what is stored"):
        cut(files, **SMALL)
    _, facts = cut(files, outside="drop", **SMALL)
    assert (facts["genes_outside"], facts["genes_kept"]) == (1, 3)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a\t0\tchr2\t+\t1\t9\t3,", "has 8 cells between tabs, this one has 7"),
        ("a\t2\tchr2\t+\t1\t9\t3,\t5,", "paralog flag is '2'"),
        ("a\t0\tchr2\t.\t1\t9\t3,\t5,", "strand '.'"),
        ("a\t0\tchr2\t+\t9\t1\t3,\t5,", "from '9' to '1'"),
        ("a\t0\tchr2\t+\t1\t9\t3,4,\t5,", "2 ends and 1 starts of exons"),
        ("a\t0\tchr2\t+\t1\t9\t5,\t3,", "ends of exons are the seventh column"),
        ("a\t0\tchr2\t+\t1\t9\tx,\t3,", "'x' is no position"),
        (f"a\t0\tchr2\t+\t1\t9\t3,\t{'9' * 5000},", "'9{40}' is no position"),
    ],
)
def test_a_line_that_is_none_of_such_a_table_is_refused_with_its_number(tmp_path, line, sentence):
    path = tmp_path / "genes.txt"
    path.write_text("b\t0\tchr2\t+\t1\t9\t3,\t5,\n" + line + "\n")
    with pytest.raises(InputError, match=rf"genes.txt:2: .*{sentence}"):
        read_genes(path)


def test_exons_without_a_base_between_them_are_one_exon_and_counted(planted, tmp_path, caplog):
    files, _ = planted
    rows, facts = cut(files, **SMALL)
    lines = Path(files["table"][0]).read_text().splitlines()
    # Exons of 101 to 120 and 121 to 130 make the first exon of both genes on the strand +.
    split = [line.replace("\t130,\t171,", "\t120,130,\t121,171,") for line in lines]
    table = tmp_path / "split.txt"
    table.write_text("\n".join(split) + "\n")
    found, told = cut({**files, "table": [str(table)]}, **SMALL)
    assert [a.tolist() for a in found["label"]] == [b.tolist() for b in rows["label"]]
    assert told == facts | {"introns_of_no_bases": 2}
    assert "2 introns have no bases" in caplog.text
    # One base that is an exon of its own stays one, and is an acceptor.
    (gene,) = read_line(tmp_path, "one\t0\tchr2\t+\t1\t99\t10,30,\t30,50,")
    assert (gene.exon_ends, gene.exon_starts) == ((10, 30), (30, 50))


def test_introns_out_of_order_are_labelled_as_they_stand_and_told(planted, tmp_path, caplog):
    files, _ = planted
    text, found = Path(files["table"][0]).read_text(), {}
    for ends, starts in [("110,130,", "121,171,"), ("130,110,", "171,121,")]:
        table = tmp_path / "two.txt"
        table.write_text(text.replace("\t130,\t171,", f"\t{ends}\t{starts}"))
        rows, told = cut({**files, "table": [str(table)]}, **SMALL)
        found[ends] = [labels.tolist() for labels in rows["label"]], told
    (sorted_labels, facts), (labels, told) = found.values()
    assert labels == sorted_labels
    assert told == facts | {"introns_that_overlap": 2}
    assert "2 introns begin before the one before them ends, the first of gene" in caplog.text
    assert "two.txt:" in caplog.text


def read_line(folder: Path, line: str) -> list:
    (folder / "line.txt").write_text(line + "\n")
    return read_genes(folder / "line.txt")


def test_a_length_that_leaves_unequal_sides_and_other_contigs_are_refused(planted, tmp_path):
    files, _ = planted
    with pytest.raises(InputError, match="of equal length"):
        cut(files, block=50, length=71)
    table = tmp_path / "other.txt"
    table.write_text("b\t0\t7\t+\t1\t9\t3,\t5,\n")
    with pytest.raises(InputError, match="names no gene on the contigs of genome g"):
        cut({**files, "table": [str(table)]}, **SMALL)
