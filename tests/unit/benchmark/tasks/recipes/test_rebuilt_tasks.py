"""The options of tasks cut from a genome, held against brute force over every base."""

import gzip
import hashlib
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyfaidx import Fasta

from dnalm.benchmark.tasks.recipes.element_labels import read_motifs
from dnalm.benchmark.tasks.recipes.windows import cut_windows
from dnalm.benchmark.tasks.table import make_task
from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.genome.bases import write_bases

SHIPPED = yaml.safe_load((Path(__file__).parents[5] / "config.yaml").read_text())
PLACE = re.compile(r"(.+):(\d+)-(\d+)\(([+-])\)")
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
STORED = {"bases": "npy", "contigs": "tsv", "manifest": "json"}
COMMON = {"genome": "g", "test_contigs": ["b"], "maximum": {"train": None, "test": None}}
PEAKS = {**COMMON, "recipe": "peaks", "length": 20}
PROMOTERS = {**COMMON, "recipe": "promoters", "length": 30}
SITES = {**COMMON, "recipe": "splice_sites", "length": 20}


def store(folder, source):
    paths = {name: folder / f"{name}.{kind}" for name, kind in STORED.items()}
    write_bases(source, name="g", config={}, **paths)
    return {
        "bases": [str(paths["bases"])],
        "contigs": [str(paths["contigs"])],
        "genome": [str(paths["manifest"])],
    }


def place_of(row):
    contig, start, end, strand = PLACE.fullmatch(row.provenance).groups()
    return contig, int(start), int(end), strand


def in_direction(text, strand):
    return text.translate(COMPLEMENT)[::-1] if strand == "-" else text


def text_of(length, seed):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


class Genome:
    """Bases in memory, their store, and files of annotation beside it."""

    def __init__(self, folder, texts):
        folder.mkdir(exist_ok=True)
        self.folder, self.texts = folder, texts
        source = folder / "g.fa"
        source.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
        self.paths = store(folder, source)

    def file(self, name, *rows):
        path = self.folder / name
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
        return str(path)

    def cut(self, build, **files):
        """Return [(contig, start, end, strand, label)] of the rows, and the facts."""
        listed = {key: [path] if isinstance(path, str) else path for key, path in files.items()}
        rows, facts = cut_windows(resolve_build(SHIPPED, build), "t", self.paths | listed)
        for row in rows:
            contig, start, end, strand = place_of(row)
            assert row.sequence == in_direction(self.texts[contig][start:end], strand)
        return [(*place_of(row), int(row.label)) for row in rows], facts


@pytest.fixture
def genome(tmp_path):
    gap = text_of(900, 1) + "N" * 40 + text_of(4000, 2)
    return Genome(tmp_path, {"a": gap, "b": text_of(5000, 3)})


def positives(rows, label=1):
    return sorted(row[:4] for row in rows if row[4] == label)


def negatives(rows):
    return positives(rows, 0)


def test_windows_are_centred_in_the_mirror_on_the_minus_strand(genome):
    lines = (
        ("a", 100, 108, "e", 0, "+"),
        ("a", 300, 307, "e", 0, "-"),
        ("b", 500, 509, "e", 0, "-"),
    )
    # Of 30 bases, 8 leave 11 on both sides, 7 leave 12 before and 11 behind, as it is read.
    rows, _ = genome.cut(PROMOTERS, intervals=genome.file("x.bed", *lines))
    assert positives(rows) == [("a", 89, 119, "+"), ("a", 289, 319, "-"), ("b", 490, 520, "-")]
    flipped = [(*row[:5], "+" if row[5] == "-" else "-") for row in lines]
    rows, _ = genome.cut(PROMOTERS, intervals=genome.file("x.bed", *flipped))
    assert positives(rows) == [("a", 89, 119, "-"), ("a", 288, 318, "+"), ("b", 489, 519, "+")]


def peak(contig, start, end, summit):
    return (contig, start, end, "p", 0, ".", 1.0, -1, -1, summit)


def test_a_window_around_a_summit_still_holds_its_peak(genome):
    path = genome.file(
        "x.narrowPeak",
        peak("a", 100, 112, 6),
        peak("a", 200, 218, 17),
        peak("a", 300, 318, 0),
        peak("a", 400, 412, -1),
        peak("b", 100, 112, 3),
    )
    rows, _ = genome.cut(PEAKS | {"placement": "summit"}, intervals=path)
    # Around 106; moved left to hold its beginning; right to hold its end; no summit: the middle.
    assert [row[1] for row in positives(rows)] == [96, 200, 298, 396, 93]
    rows, _ = genome.cut(PEAKS, intervals=path)
    assert [row[1] for row in positives(rows)] == [96, 199, 299, 396, 96]


def test_random_windows_hold_their_element_anywhere(genome):
    elements = [("a", i, i + 8, "e") for i in range(40, 860, 30)]
    elements += [("b", i, i + 8, "e") for i in range(40, 860, 30)]
    path = genome.file("x.bed", *elements)
    rows, _ = genome.cut(PEAKS | {"placement": "random"}, intervals=path)
    offsets = [i - row[1] for row, (_, i, *_) in zip(positives(rows), elements, strict=True)]
    assert min(offsets) >= 0
    assert max(offsets) <= 12
    assert len(set(offsets)) > 8
    again, _ = genome.cut(PEAKS | {"placement": "random"}, intervals=path)
    other, _ = genome.cut(PEAKS | {"placement": "random", "seed": 1}, intervals=path)
    assert again == rows != other


def test_elements_longer_than_the_window_are_dropped_or_cut_as_said(genome):
    path = genome.file("x.bed", ("a", 100, 131, "e"), ("a", 300, 310, "e"), ("b", 300, 310, "e"))
    rows, facts = genome.cut(PEAKS | {"unstranded": "forward"}, intervals=path)
    assert positives(rows) == [("a", 295, 315, "+"), ("b", 295, 315, "+")]
    assert (facts["elements"], facts["dropped_longer"]) == (3, 1)
    rows, _ = genome.cut(PEAKS | {"longer": "centre", "unstranded": "forward"}, intervals=path)
    assert positives(rows)[0] == ("a", 105, 125, "+")
    inside = PEAKS | {"longer": "centre", "placement": "random"}
    drawn = {positives(genome.cut(inside | {"seed": s}, intervals=path)[0])[0][1] for s in range(9)}
    assert min(drawn) >= 100
    assert max(drawn) <= 111
    assert len(drawn) > 3


@pytest.mark.parametrize("avoid", ["elements", "windows"])
@pytest.mark.parametrize("unlabelled", ["avoid", "ignore"])
def test_negatives_touch_nothing_that_is_to_be_avoided(genome, avoid, unlabelled):
    named = [(c, i, i + 4, "yes" if i % 80 else "no") for c in "ab" for i in range(40, 860, 40)]
    path = genome.file("x.bed", *named)
    options = {"avoid": avoid, "unlabelled": unlabelled, "labels_by_name": {"yes": 1}}
    rows, _ = genome.cut(PEAKS | options, intervals=path)
    taken = {contig: np.zeros(6000, dtype=bool) for contig in "ab"}
    for contig, start, end, name in named:
        if name == "yes" or unlabelled == "avoid":
            around = 8 if avoid == "windows" else 0
            taken[contig][start - around : end + around] = True
    assert len(negatives(rows)) == len(positives(rows)) == sum(row[3] == "yes" for row in named)
    assert not any(taken[contig][start:end].any() for contig, start, end, _ in negatives(rows))
    for contig in "ab":
        starts = sorted(row[1] for row in negatives(rows) if row[0] == contig)
        assert min(np.diff(starts)) >= 20


def test_classes_are_made_equal_or_left_as_found(genome):
    names = ["x"] * 6 + ["y"] * 3
    lines = [(c, 50 + 60 * i, 58 + 60 * i, name) for c in "ab" for i, name in enumerate(names)]
    build = PEAKS | {"labels_by_name": {"x": 1, "y": 2}}
    path = genome.file("x.bed", *lines)

    def counts(changes):
        rows, _ = genome.cut(build | changes, intervals=path)
        on_a = [row[4] for row in rows if row[0] == "a"]
        return [on_a.count(label) for label in range(3)]

    assert counts({}) == [3, 3, 3]
    assert counts({"balance": "found"}) == [4, 6, 3]
    assert counts({"maximum": {"train": 7, "test": 7}}) == [2, 2, 2]


def test_a_maximum_that_leaves_a_class_without_rows_is_named(genome):
    lines = [(c, 50 + 60 * i, 58 + 60 * i, "xy"[i % 2]) for c in "ab" for i in range(6)]
    build = PEAKS | {"labels_by_name": {"x": 1, "y": 2}, "maximum": {"train": None, "test": 2}}
    with pytest.raises(InputError, match=r"t has 3 classes, of which build.maximum.test 2 leaves"):
        genome.cut(build, intervals=genome.file("x.bed", *lines))


def test_negatives_of_a_full_contig_come_from_others_of_the_split(genome):
    second = Genome(genome.folder / "second", {**genome.texts, "c": text_of(120, 5)})
    full = [("c", i, i + 6, "e") for i in range(20, 100, 8)]
    path = second.file("x.bed", *full, ("a", 100, 106, "e"), ("b", 100, 106, "e"))
    with pytest.raises(InputError, match=r"on contig c \d windows of 20 .*negatives: split"):
        second.cut(PEAKS, intervals=path)
    rows, _ = second.cut(PEAKS | {"negatives": "split"}, intervals=path)
    assert len(negatives(rows)) == len(positives(rows)) == 12
    assert {row[0] for row in negatives(rows)} == {"a", "b"}


def test_contigs_may_be_chosen_and_gaps_kept(genome):
    inside = [(c, i, i + 2, "e") for c in "ab" for i in (100, 300)]
    path = genome.file("x.bed", ("a", 898, 900, "e"), ("b", 4998, 5000, "e"), *inside)
    rows, facts = genome.cut(PEAKS, intervals=path)
    assert (facts["dropped_with_n"], facts["dropped_at_ends"]) == (1, 1)
    rows, facts = genome.cut(PEAKS | {"gaps": "keep"}, intervals=path)
    assert ("a", 889, 909, "+") in positives(rows)
    assert (facts["dropped_with_n"], facts["dropped_at_ends"]) == (0, 1)
    rows, facts = genome.cut(PEAKS | {"contigs": ["b"]}, intervals=path)
    assert {row[0] for row in rows} == {"b"}
    assert facts["records_on_other_contigs"] == 3


def test_motifs_tell_promoters_apart_and_all_of_them_are_avoided(genome):
    lines = [(c, i, i + 10, f"G{i}_1", 1, "+") for c in "ab" for i in range(40, 860, 50)]
    motifs = genome.file(
        "motifs.txt",
        ("#Name", "TATA-box", "Inr", "CCAAT-box", "GC-box"),
        *[(f"G{i}_1", int(i % 100 == 40), 1, 0, 0) for i in range(40, 860, 50) if i != 240],
    )
    files = {"intervals": genome.file("x.bed", *lines), "motifs": motifs}
    with_tata, _ = genome.cut(PROMOTERS, **files)
    without, _ = genome.cut(PROMOTERS | {"labels_by_motif": {"0": 1}}, **files)
    found = [{row[1] + 10 for row in positives(rows)} for rows in (with_tata, without)]
    assert found[0] == set(range(40, 860, 100)) - {240}
    assert found[1] == set(range(90, 860, 100))
    for rows in (with_tata, without):
        for contig, start, end, _ in negatives(rows):
            assert not any(c == contig and start < e and s < end for c, s, e, *_ in lines)
    with pytest.raises(
        InputError, match=r"motifs.txt has no column 'TATA', its columns are TATA-box, N"
    ):
        genome.cut(PROMOTERS | {"motifs_column": "TATA"}, **files)
    twice = genome.file("twice.txt", ("#Name", "TATA-box", "TATA-box"), ("X", 1, 0))
    with pytest.raises(InputError, match=r"twice.txt has 2 columns 'TATA-box', and one is to be"):
        genome.cut(PROMOTERS, **files | {"motifs": twice})
    other = genome.file("other.txt", ("#Name", "TATA-box"), ("X", 1))
    with pytest.raises(InputError, match=r"other.txt names none of the 34 elements, .* G40_1, "):
        genome.cut(PROMOTERS, **files | {"motifs": other})


@pytest.mark.parametrize("separator", ["\t", " "])
def test_motifs_are_those_of_their_column_whatever_stands_beside_it(tmp_path, separator):
    rows = [("#Name", "TATA", "Inr"), ("A_1", "1", "0"), ("# by", "hand", ""), ("B_1", "0", "1")]
    path = tmp_path / "m.txt"
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    assert read_motifs(str(path), "TATA") == {"A_1": "1", "B_1": "0"}
    if separator == "\t":
        path.write_text(
            path.read_text().replace("A_1\t1", "A 1\t").replace("B_1\t0\t1", "B_1\t0\t1\t")
        )
        assert read_motifs(str(path), "TATA") == {"A 1": "", "B_1": "0"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("C_1\t0\t1\t1", "m.txt:3: the line has 4 cells, its header has 3"),
        ("C_1\t0", "m.txt:3: the line has 2 cells, its header has 3"),
        ("A_1\t0\t0", "m.txt:3: A_1 has '0' for 'TATA', and an earlier line says '1'"),
    ],
)
def test_a_line_of_motifs_that_fits_no_column_or_no_other_line_is_refused(tmp_path, row, said):
    path = tmp_path / "m.txt"
    path.write_text(f"#Name\tTATA\tInr\nA_1\t1\t0\n{row}\n")
    with pytest.raises(InputError, match=said):
        read_motifs(str(path), "TATA")


def test_enhancers_that_share_a_base_with_an_invariant_region_are_of_another_class(genome):
    lines = [(c, i, i + 20, "d", "E", "dELS") for c in "ab" for i in range(40, 860, 60)]
    shared = [(c, i + 19, i + 24) for c in "ab" for i in range(40, 860, 120)]
    shared += [(c, i - 5, i) for c in "ab" for i in range(100, 860, 120)]  # they only touch
    types = genome.file(
        "dhs.txt",
        ("seqname", "start", "end", "identifier", "component"),
        *[(*region, "i", "Tissue invariant") for region in shared],
        *[(*line[:3], "i", "Neural") for line in lines],
    )
    build = COMMON | {"recipe": "enhancers", "length": 30}
    files = {"intervals": [genome.file("x.bed", *lines)], "types": types}
    rows, _ = genome.cut(build, **files)
    assert {row[1] + 5 for row in positives(rows, 2)} == set(range(40, 860, 120))
    assert {row[1] + 5 for row in positives(rows, 1)} <= set(range(100, 860, 120))
    assert len({len(positives(rows, label)) for label in range(3)}) == 1
    with pytest.raises(InputError, match=r"none of 56 regions is of type 'All', they are Tissue"):
        genome.cut(build | {"types_pattern": "All"}, **files)
    binary, _ = genome.cut(build, intervals=files["intervals"])
    assert len(positives(binary)) == 28


def exons(name, contig, strand, level, *spans):
    tail = f'gene_id "g"; transcript_id "{name}"; level {level};'
    return [(contig, "x", "exon", s + 1, e, ".", strand, ".", tail) for s, e in spans]


def test_transcripts_of_level_3_give_no_site_and_are_avoided(genome):
    path = genome.file(
        "x.gtf",
        *exons("t1", "a", "+", 2, (100, 120), (200, 220)),
        *exons("t2", "a", "-", 3, (400, 420), (500, 520)),
        *exons("t3", "a", "+", 3, (100, 120), (200, 220), (300, 320)),
        *exons("t4", "b", "+", 1, (100, 120), (200, 220)),
    )
    rows, facts = genome.cut(SITES, annotation=path)
    # t3 shares its first intron with t1.
    assert positives(rows, 2) == [("a", 110, 130, "+"), ("b", 110, 130, "+")]
    assert positives(rows, 1) == [("a", 190, 210, "+"), ("b", 190, 210, "+")]
    assert facts["records"] == 8
    all_levels, _ = genome.cut(SITES | {"exclude_levels": []}, annotation=path)
    assert ("a", 490, 510, "-") in positives(all_levels, 2)
    donors, _ = genome.cut(SITES | {"labels_by_kind": {"donor": 1}}, annotation=path)
    assert positives(donors) == positives(rows, 2)
    sites = {"a": (120, 198, 220, 298, 420, 498), "b": (120, 198)}
    for seed in range(40):
        drawn, _ = genome.cut(SITES | {"seed": seed}, annotation=path)
        for contig, start, end, _ in negatives(drawn):
            assert not any(start < site + 2 and site < end for site in sites[contig])


def test_labelled_intervals_need_no_negatives(genome):
    lines = [(c, i, i + 25, "no" if i % 80 else "yes") for c in "ab" for i in range(40, 840, 40)]
    build = COMMON | {"recipe": "regions", "decoys": "none"}
    build["labels_by_name"] = {"no": 0, "yes": 1}
    rows, _ = genome.cut(build, intervals=genome.file("x.bed", *lines))
    assert {row[1] for row in negatives(rows)} == set(range(40, 840, 80))
    assert {row[1] for row in positives(rows)} == set(range(80, 840, 80))
    assert {row[2] - row[1] for row in rows} == {25}


def test_bad_elements_are_one_sentence_with_counts(genome):
    def fails(sentence, *lines, **changes):
        with pytest.raises(InputError, match=sentence):
            genome.cut(PEAKS | changes, intervals=genome.file("x.bed", *lines))

    good = [("a", 100, 110, "e"), ("b", 100, 110, "e")]
    fails(
        r"x.bed: 2 of 4 records reach over the end of their contig in genome g, the first is "
        r"b:4990-5010 of 5,000 bases: give the file of this assembly, or set build.outside: drop",
        *good,
        ("b", 4990, 5010, "e"),
        ("b", 9000, 9010, "e"),
    )
    fails(
        r"x.bed names no element inside genome g: its 2 records are on chrA, chrB, the genome's "
        r"contigs are a, b: give both the same names",
        ("chrA", 1, 9, "e"),
        ("chrB", 1, 9, "e"),
    )
    fails(
        r"t has no test rows: of the 1 elements with a label on b, 1 reach over an end and 0 hold",
        good[0],
        ("b", 2, 6, "e"),
    )
    fails(
        r"t has no train rows: of the 2 elements with a label on a, 0 reach over an end and 2 hold "
        r"an N: choose other build.test_contigs",
        ("a", 895, 905, "e"),
        ("a", 930, 942, "e"),
        good[1],
    )
    fails(r"t has no train rows: of the 0 elements", good[1])


def test_records_on_other_contigs_are_counted_and_said(genome, caplog):
    lines = [(contig, 100, 110, "e") for contig in ("a", "b", "chrUn_1")]
    _, facts = genome.cut(PEAKS, intervals=genome.file("x.bed", *lines))
    assert facts["records_on_other_contigs"] == 1
    assert "1 of 3 records are on contigs" in caplog.text
    assert "chrUn_1" in caplog.text


FOLDS = {"scheme": "kfold", "splits": 4, "validation_share": 0.25, "seed": 1}


def test_a_file_with_another_sha256_than_build_gives_is_refused(genome):
    lines = [(c, 50 + 40 * i, 58 + 40 * i, "e") for c in "ab" for i in range(8)]
    path = genome.file("x.bed", *lines)

    def make(paths, sha256):
        build = resolve_build(SHIPPED, PEAKS | {"sha256": {"intervals": sha256}})
        files = genome.paths | {"intervals": paths}
        return make_task(files, SHIPPED["task"] | {"build": build}, "mine.x", FOLDS)

    make([path], hashlib.sha256(Path(path).read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"x.bed has .*mine.x expects 0000.*build.sha256.interva"):
        make([path], "0" * 64)


def test_a_window_with_two_labels_is_left_out_whatever_the_order(genome, caplog):
    good = [(c, 100 * i, 100 * i + 8, "xy"[i % 2]) for c in "ab" for i in range(1, 7)]
    both = [("a", 750, 758, "x"), ("a", 750, 758, "y"), ("a", 748, 760, "y")]
    build = PEAKS | {"labels_by_name": {"x": 1, "y": 2}}
    for lines in (both + good, good + both[::-1]):
        rows, facts = genome.cut(build, intervals=genome.file("x.bed", *lines))
        assert ("a", 744, 764, "+") not in [row[:4] for row in rows]
        assert (facts["dropped_contradicting"], facts["dropped_repeated"]) == (3, 0)
    assert "3 of 15 records have the same window as one with another label" in caplog.text
    with pytest.raises(InputError, match=r"all 3 elements have the window of one with another"):
        genome.cut(build, intervals=genome.file("x.bed", *both))


def test_a_splice_site_of_both_kinds_is_of_no_class(genome):
    path = genome.file(
        "x.gtf",
        *exons("t1", "a", "+", 2, (100, 120), (200, 220)),
        *exons("t2", "a", "+", 2, (150, 200), (300, 320)),
        *exons("t3", "b", "+", 1, (100, 120), (200, 220)),
    )
    # An exon of t1 begins where one of t2 ends.
    rows, facts = genome.cut(SITES, annotation=path)
    assert positives(rows, 2) == [("a", 110, 130, "+"), ("b", 110, 130, "+")]
    assert positives(rows, 1) == [("a", 290, 310, "+"), ("b", 190, 210, "+")]
    assert facts["dropped_contradicting"] == 2
    donors, facts = genome.cut(SITES | {"labels_by_kind": {"donor": 1}}, annotation=path)
    assert ("a", 190, 210, "+") in positives(donors)
    assert facts["dropped_contradicting"] == 0


def test_the_counts_of_what_became_of_the_records_add_up(genome):
    lines = [
        *[("c", 100, 108, "x", 0, "+")] * 2,  # no contig of the genome
        *[("a", i, i + 4, "z", 0, "+") for i in (100, 140, 180)],  # without a label
        *[("a", i, i + 4, "z", 0, ".") for i in (104, 108)],  # avoided in both directions
        *[("a", i, i + 40, "x", 0, "+") for i in (200, 300, 400, 500)],  # too long
        *[("b", 300, 304, "x", 0, "-")] * 6,  # five repeat the first
        *[("b", 400, 404, name, 0, "-") for name in "xy"],  # contradict each other
        *[("b", i, i + 4, "x", 0, "+") for i in (2, 4994, 4995)],  # over an end
        *[("a", i, i + 4, "y", 0, "+") for i in (900, 920)],  # hold an N
        *[("a", i, i + 4, "x", 0, "+") for i in range(1000, 1900, 100)],
        *[("a", i, i + 4, "y", 0, "+") for i in range(2000, 2700, 100)],
        ("b", 2000, 2004, "y", 0, "+"),
    ]
    labels = {"labels_by_name": {"x": 1, "y": 2}}
    rows, facts = genome.cut(PROMOTERS | labels, intervals=genome.file("x.bed", *lines))
    assert facts == {
        "genome": "g",
        "recipe": "promoters",
        "records": 41,
        "records_on_other_contigs": 2,
        "records_without_label": 5,
        "elements": 34,
        "dropped_longer": 4,
        "dropped_contradicting": 2,
        "dropped_repeated": 5,
        "dropped_at_ends": 3,
        "dropped_with_n": 2,
        "dropped_by_balance_or_maximum": 2,  # nine x, seven y on a
        "kept": 16,
    }
    assert sum(row[4] > 0 for row in rows) == 16
    dropped = sum(number for key, number in facts.items() if key.startswith("dropped_"))
    assert facts["elements"] == dropped + facts["kept"]
    apart = facts["records_on_other_contigs"] + facts["records_without_label"]
    assert facts["records"] == apart + facts["elements"]


def test_a_rebuilt_task_says_its_kind_by_itself(genome):
    lines = [(c, 50 + 40 * i, 58 + 40 * i, "xy"[i % 2]) for c in "ab" for i in range(20)]
    build = resolve_build(SHIPPED, PEAKS | {"labels_by_name": {"x": 1, "y": 2}})
    files = genome.paths | {"intervals": [genome.file("x.bed", *lines)]}
    table, summary = make_task(files, SHIPPED["task"] | {"build": build}, "mine.x", FOLDS)
    assert (summary["kind"], summary["classes"]) == ("multiclass", 3)
    assert summary["rows_per_class"]["test"] == [10, 10, 10]
    assert json.loads(json.dumps(summary))["build"]["elements"] == 40
    assert table["sequence"].str.len().eq(20).all()


def test_a_chromosome_is_left_out_in_each_split_of_a_rebuilt_task(tmp_path):
    genome = Genome(
        tmp_path, {"a": text_of(3000, 2), "b:1": text_of(3000, 3), "c": text_of(3000, 4)}
    )
    lines = [(c, 50 + 60 * i, 58 + 60 * i) for c in ("a", "b:1", "c") for i in range(20)]
    build = resolve_build(SHIPPED, PEAKS | {"labels_by_name": {".*": 1}, "test_contigs": ["c"]})
    files = genome.paths | {"intervals": [genome.file("x.bed", *((*line, "x") for line in lines))]}
    folds = FOLDS | {"scheme": "leave_one_group_out", "group": "contig"}
    table, summary = make_task(files, SHIPPED["task"] | {"build": build}, "mine.x", folds)
    assert summary["cross_validation"]["groups"] == [["a"], ["b:1"]]
    train = table[table["split"] == "train"]
    contigs = train["provenance"].str.rpartition(":")[0]
    assert train["folds"].map(lambda folds: ["a", "b:1"][folds[0]]).tolist() == contigs.tolist()


REAL = {
    "human_grch38_chr21_25-26Mb": ("21_24985581-26000306.fa.gz", "21", 24985580),
    "human_grch37_chr20_1-2Mb": ("20_1000001-2000000.fa.gz", "20", 1000000),
}


class Piece:
    """A real megabase: its store, and pyfaidx as the reader of absolute coordinates."""

    def __init__(self, data, made, name):
        source, self.contig, self.first = REAL[name]
        self.folder = data / name
        self.paths = store(made, self.folder / source)
        plain = made / f"{name}.fa"
        # pyfaidx reads bgzip only with a package that nothing else needs.
        plain.write_bytes(gzip.decompress((self.folder / source).read_bytes()))
        (self.record,) = Fasta(str(plain), sequence_always_upper=True)

    def read(self, start, end):
        return str(self.record[start - self.first : end - self.first])

    def cut(self, build, **files):
        paths = {key: [str(self.folder / name)] for key, name in files.items()}
        resolved = resolve_build(SHIPPED, COMMON | {"test_contigs": [self.contig]} | build)
        rows, facts = cut_windows(resolved, "t", self.paths | paths)
        for row in rows:
            _, start, end, strand = place_of(row)
            assert row.sequence == in_direction(self.read(start, end), strand)
        return [(*place_of(row), int(row.label)) for row in rows], facts

    def columns(self, name):
        with gzip.open(self.folder / name, "rt") as file:
            return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def sites_by_hand(lines, transcripts):
    """Return {(position, strand, kind)} of all introns between the exon lines of a file."""
    spans = {}
    for fields in lines:
        if fields[2] == "exon":
            for name in transcripts(fields[8]):
                spans.setdefault((name, fields[6]), []).append((int(fields[3]), int(fields[4])))
    sites = set()
    for (_, strand), parts in spans.items():
        for (_, end), (start, _) in pairwise(sorted(parts)):
            if start - 1 > end:
                # 1-based and closed, the intron is end + 1 .. start - 1.
                kinds = ("donor", "acceptor") if strand == "+" else ("acceptor", "donor")
                sites |= {(end, strand, kinds[0]), (start - 2, strand, kinds[1])}
    return sites


@pytest.mark.parametrize("name", REAL)
def test_real_splice_sites_are_those_of_the_lines_and_negatives_hold_none(
    name, data_folder, tmp_path
):
    piece = Piece(data_folder, tmp_path, name)
    gtf = min(path.name for path in piece.folder.glob("*.gtf.gz"))
    expected = sites_by_hand(
        piece.columns(gtf), lambda text: re.findall('transcript_id "([^"]+)"', text)
    )
    build = {"recipe": "splice_sites", "balance": "found"}
    rows, _ = piece.cut(build, annotation=gtf)
    found = {
        # The site is the base before the middle where the intron lies to the left.
        (start + 300 - ((label == 1) == (strand == "+")), strand, ["", "acceptor", "donor"][label])
        for _, start, _, strand, label in rows
        if label
    }
    low, high = piece.first + 301, piece.first + len(piece.record) - 301
    inside = {site for site in expected if low < site[0] < high}
    assert len(inside) > 80
    assert inside <= found <= expected
    positions = np.array([position for position, *_ in expected])
    for _, start, end, _ in negatives(rows):
        assert not ((start <= positions) & (positions < end)).any()


def test_real_gff3_gives_the_sites_of_its_lines(data_folder, tmp_path):
    piece = Piece(data_folder, tmp_path, "human_grch38_chr21_25-26Mb")
    gff3 = "ensembl84.chr21.gff3.gz"
    expected = sites_by_hand(
        piece.columns(gff3), lambda text: re.search("Parent=([^;]+)", text)[1].split(",")
    )
    # Every gap between exons counts by hand, however short.
    rows, facts = piece.cut({"recipe": "splice_sites", "min_intron": 1}, annotation=gff3)
    # Of the whole chromosome; an acceptor that ends where a donor begins has the donor's window,
    # which cannot be of both classes.
    windows = Counter((p + ((kind == "acceptor") == (s == "+")), s) for p, s, kind in expected)
    assert facts["elements"] == len(expected)
    assert facts["dropped_contradicting"] == 2 * sum(count == 2 for count in windows.values()) > 0
    donors = {(start + 300 - (s == "-"), s) for _, start, _, s, label in rows if label == 2}
    assert len(donors) > 50
    assert donors <= {(position, s) for position, s, kind in expected if kind == "donor"}


def test_real_enhancers_and_promoters_are_held_or_avoided_by_windows(data_folder, tmp_path):
    piece = Piece(data_folder, tmp_path, "human_grch38_chr21_25-26Mb")
    for recipe, name, length in (
        ("enhancers", "fantom5_enhancers.bed.gz", 400),
        ("promoters", "epdnew_promoters.bed.gz", 300),
        ("peaks", "fantom5_enhancers.bed.gz", 1000),
    ):
        elements = [(int(row[1]), int(row[2])) for row in piece.columns(name)]
        rows, facts = piece.cut({"recipe": recipe}, intervals=name)
        fit = [(start, end) for start, end in elements if end - start <= length]
        assert facts["dropped_longer"] == len(elements) - len(fit)
        assert len(positives(rows)) == len(negatives(rows)) == len(fit)
        for _, start, end, _, label in rows:
            assert end - start == length
            if label:
                assert any(start <= left and right <= end for left, right in fit)
            else:
                assert not any(start < right and left < end for left, right in elements)
