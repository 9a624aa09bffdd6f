"""Tasks cut from a genome: windows, strands and negatives against planted and real annotation."""

import gzip
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyfaidx import Fasta

from dnalm.benchmark.tasks.recipes.windows import cut_windows
from dnalm.benchmark.tasks.table import make_task
from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.genome.bases import write_bases

HUMAN = "human_grch38_chr21_25-26Mb"
PLACE = re.compile(r"(.+):(-?\d+)-(\d+)\(([+-])\)")
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
MAXIMUM = {"train": None, "test": None}
SHIPPED = yaml.safe_load((Path(__file__).parents[5] / "config.yaml").read_text())
COMMON = {"genome": "g", "maximum": MAXIMUM, "avoid": "windows"}
PROMOTERS = {
    **COMMON,
    "recipe": "promoters",
    "placement": "tss",
    "upstream": 8,
    "downstream": 4,
    "tss_offset": 0,
}
SITES = {
    **COMMON,
    "recipe": "splice_sites",
    "length": 12,
    "avoid": "elements",
}
ENHANCERS = {**COMMON, "recipe": "enhancers", "length": 10, "longer": "centre"}


def cut(build, name, files):
    """Return what `cut_windows` does with a build's defaults filled in, one file per key."""
    listed = {key: path if isinstance(path, list) else [path] for key, path in files.items()}
    return cut_windows(resolve_build(SHIPPED, build), name, listed)


def random_text(length, seed):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def store(folder, source):
    """Write a genome's bases; return the files that a recipe takes."""
    paths = {
        "bases": folder / "bases.npy",
        "contigs": folder / "contigs.tsv",
        "manifest": folder / "manifest.json",
    }
    write_bases(source, name="g", config={}, **paths)
    files = {key: str(path) for key, path in paths.items() if key != "manifest"}
    return {**files, "genome": str(paths["manifest"])}


@pytest.fixture
def genome(tmp_path):
    """Two contigs of random bases, an N run in the first."""
    texts = {"a": random_text(600, 1) + "N" * 50 + random_text(600, 2), "b": random_text(900, 3)}
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return texts, store(tmp_path, path)


def bed(tmp_path, *lines):
    path = tmp_path / "x.bed"
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    return str(path)


def places(rows, label=None):
    """Return the (contig, start, end, strand) of rows, of one label when it is given."""
    found = [
        PLACE.fullmatch(row.provenance).groups()
        for row in rows
        if label is None or row.label == str(label)
    ]
    return [(contig, int(start), int(end), strand) for contig, start, end, strand in found]


def expected_text(read, place):
    contig, start, end, strand = place
    text = read(contig, start, end)
    return text.translate(COMPLEMENT)[::-1] if strand == "-" else text


def test_promoter_windows_hold_the_start_at_offset_upstream_on_both_strands(genome, tmp_path):
    texts, files = genome
    path = bed(
        tmp_path,
        ("a", 100, 101, "p", 0, "+"),
        ("a", 200, 201, "m", 0, "-"),
        ("b", 300, 301, "q", 0, "+"),
    )
    rows, facts = cut({**PROMOTERS, "test_contigs": ["b"]}, "t", {**files, "intervals": path})
    assert sorted(places(rows, 1)) == [
        ("a", 92, 104, "+"),
        ("a", 197, 209, "-"),
        ("b", 292, 304, "+"),
    ]
    for row in rows:
        (place,) = places([row])
        assert row.sequence == expected_text(lambda c, s, e: texts[c][s:e], place)
        assert row.split == ("test" if place[0] == "b" else "train")
    starts = {place: row.sequence[8] for row in rows for place in places([row]) if row.label == "1"}
    assert starts[("a", 92, 104, "+")] == texts["a"][100]
    assert starts[("a", 197, 209, "-")] == texts["a"][200].translate(COMPLEMENT)
    assert facts["elements"] == 3


def test_offset_places_the_start_inside_an_interval_on_both_strands(genome, tmp_path):
    _, files = genome
    # 60 bases, the 50th in reading direction is the start: EPDnew's own convention.
    path = bed(tmp_path, ("a", 100, 160, "p", 0, "+"), ("b", 100, 160, "m", 0, "-"))
    build = {**PROMOTERS, "tss_offset": 49, "test_contigs": ["b"]}
    rows, _ = cut(build, "t", {**files, "intervals": path})
    assert sorted(places(rows, 1)) == [("a", 141, 153, "+"), ("b", 107, 119, "-")]


def test_names_choose_the_class_and_unnamed_elements_are_only_avoided(genome, tmp_path):
    _, files = genome
    lines = [
        ("a", i, i + 1, "x_TATA" if i % 40 else "x_noTATA", 0, "+") for i in range(20, 580, 20)
    ]
    path = bed(tmp_path, *lines, ("b", 100, 101, "y_TATA", 0, "+"))
    build = {**PROMOTERS, "test_contigs": ["b"], "labels_by_name": {"_TATA$": 1}}
    rows, _ = cut(build, "t", {**files, "intervals": path})
    starts = {start + 8 for contig, start, _, _ in places(rows, 1) if contig == "a"}
    assert starts == {line[1] for line in lines if line[3] == "x_TATA"}
    for contig, start, end, _ in places(rows, 0):
        if contig == "a":
            assert not any(start < line[1] + 4 and line[1] - 8 < end for line in lines)


def test_negatives_are_as_many_touch_nothing_and_hold_no_n(genome, tmp_path):
    texts, files = genome
    lines = [("a", i, i + 6, f"e{i}") for i in range(30, 560, 40)]
    lines += [("b", i, i + 6, f"f{i}") for i in range(30, 860, 60)]
    path = bed(tmp_path, *lines)
    rows, _ = cut({**ENHANCERS, "test_contigs": ["b"]}, "t", {**files, "intervals": path})
    for contig in "ab":
        positives = [p for p in places(rows, 1) if p[0] == contig]
        negatives = [p for p in places(rows, 0) if p[0] == contig]
        assert len(positives) == len(negatives) == sum(line[0] == contig for line in lines)
        assert len(set(negatives)) == len(negatives)
        blocked = np.array([letter == "N" for letter in texts[contig]])
        for line in lines:
            if line[0] == contig:
                blocked[line[1] : line[2]] = True
        assert not any(blocked[start:end].any() for _, start, end, _ in negatives)
        taken = sorted((start, end) for _, start, end, _ in negatives)
        assert all(end <= start for (_, end), (start, _) in pairwise(taken))
    assert {strand for *_, strand in places(rows, 0)} == {"+", "-"}


def gtf(tmp_path, *transcripts):
    path = tmp_path / "x.gtf"
    with open(path, "w") as file:
        for number, (contig, strand, exons) in enumerate(transcripts):
            for start, end in exons:
                attributes = f'gene_id "g{number}"; transcript_id "t{number}";'
                fields = (contig, "x", "exon", start + 1, end, ".", strand, ".", attributes)
                file.write("\t".join(map(str, fields)) + "\n")
    return str(path)


def test_splice_windows_have_the_border_of_exon_and_intron_in_the_middle(genome, tmp_path):
    texts, files = genome
    path = gtf(
        tmp_path,
        ("a", "+", ((100, 120), (200, 230))),
        ("a", "-", ((300, 330), (400, 450))),
        ("b", "+", ((100, 120), (200, 230))),
    )
    rows, _ = cut({**SITES, "test_contigs": ["b"]}, "t", {**files, "annotation": path})
    on_a = {label: sorted(p for p in places(rows, label) if p[0] == "a") for label in (1, 2)}
    assert on_a[2] == [("a", 114, 126, "+"), ("a", 394, 406, "-")]
    assert on_a[1] == [("a", 194, 206, "+"), ("a", 324, 336, "-")]
    donor = next(r for r in rows if r.provenance == "a:394-406(-)")
    # The minus donor's intron begins left of base 400, at 399, read backwards.
    assert donor.sequence[6] == texts["a"][399].translate(COMPLEMENT)
    counts = [len(places(rows, label)) for label in range(3)]
    assert counts == [3, 3, 3]


@pytest.mark.parametrize(
    ("classes", "with_gt"),
    [({"acceptor": 1, "donor": 2}, {True, False}), ({"donor": 1}, {True})],
)
def test_dinucleotide_decoys_carry_gt_or_ag_where_the_sites_of_the_task_have_it(
    classes, with_gt, genome, tmp_path
):
    texts, files = genome
    path = gtf(
        tmp_path,
        *[("a", "+", ((i, i + 10), (i + 20, i + 30))) for i in range(100, 500, 50)],
        ("b", "-", ((100, 120), (200, 230))),
    )
    build = {**SITES, "labels_by_kind": classes, "decoys": "dinucleotide", "test_contigs": ["b"]}
    rows, _ = cut(build, "t", {**files, "annotation": path})
    negatives = [row for row in rows if row.label == "0"]
    assert len(negatives) == 9
    for row in negatives:
        assert row.sequence[6:8] == "GT" or row.sequence[4:6] == "AG"
        (place,) = places([row])
        assert row.sequence == expected_text(lambda c, s, e: texts[c][s:e], place)
    assert {row.sequence[6:8] == "GT" for row in negatives} == with_gt


def test_what_is_only_avoided_needs_no_strand(genome, tmp_path):
    _, files = genome
    lines = [
        ("a", 100, 101, "e", 0, "+"),
        ("b", 100, 101, "e", 0, "-"),
        ("a", 300, 301, "other", 0, "."),
    ]
    build = {**PROMOTERS, "labels_by_name": {"^e$": 1}, "test_contigs": ["b"]}
    rows, _ = cut(build, "t", {**files, "intervals": bed(tmp_path, *lines)})
    assert len(places(rows, 1)) == 2


def test_dinucleotide_decoys_do_not_overlap_and_are_found_for_most_of_a_contig(tmp_path):
    source = tmp_path / "g.fa"
    source.write_text("".join(f">{name}\n{random_text(40_000, name)}\n" for name in (1, 2)))
    path = gtf(
        tmp_path,
        *[("1", "+", ((i, i + 10), (i + 20, i + 30))) for i in range(100, 39_000, 400)],
        ("2", "-", ((100, 120), (200, 230))),
    )
    build = {**SITES, "length": 120, "decoys": "dinucleotide", "test_contigs": ["2"]}
    build["labels_by_kind"] = {"acceptor": 1, "donor": 1}
    rows, _ = cut(build, "t", {**store(tmp_path, source), "annotation": path})
    taken = sorted((start, end) for contig, start, end, _ in places(rows, 0) if contig == "1")
    # As many as there are sites, of 333 windows that would fit side by side.
    assert len(taken) == 196
    assert all(end <= start for (_, end), (start, _) in pairwise(taken))


def test_maximum_caps_the_rows_of_a_split_and_keeps_the_classes_equal(genome, tmp_path):
    _, files = genome
    lines = [(c, i, i + 6, "e") for c in "ab" for i in range(30, 560, 40)]
    build = {**ENHANCERS, "test_contigs": ["b"], "maximum": {"train": 8, "test": 5}}
    rows, _ = cut(build, "t", {**files, "intervals": bed(tmp_path, *lines)})
    counts = {
        (s, label): sum(r.split == s and r.label == label for r in rows)
        for s in ("train", "test")
        for label in "01"
    }
    assert counts == {("train", "0"): 4, ("train", "1"): 4, ("test", "0"): 2, ("test", "1"): 2}


def test_the_seed_decides_the_rows(genome, tmp_path):
    _, files = genome
    path = bed(tmp_path, *[(c, i, i + 6, "e") for c in "ab" for i in range(30, 560, 80)])
    build = {**ENHANCERS, "test_contigs": ["b"]}
    first, again, other = (
        cut({**build, "seed": seed}, "t", {**files, "intervals": path})[0] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_windows_over_an_end_or_an_n_are_dropped_and_counted(genome, tmp_path):
    _, files = genome
    path = bed(
        tmp_path,
        ("a", 2, 4, "end"),
        ("a", 598, 604, "n"),
        ("a", 100, 110, "good"),
        ("b", 898, 900, "end"),
        ("b", 50, 60, "good"),
    )
    build = {**ENHANCERS, "test_contigs": ["b"], "unstranded": "forward"}
    rows, facts = cut(build, "t", {**files, "intervals": path})
    assert sorted(places(rows, 1)) == [("a", 100, 110, "+"), ("b", 50, 60, "+")]
    assert (facts["records"], facts["elements"]) == (5, 5)
    assert (facts["dropped_at_ends"], facts["dropped_with_n"]) == (2, 1)


def test_bad_recipes_are_one_sentence(genome, tmp_path):
    _, files = genome
    path = bed(tmp_path, ("a", 100, 110, "e"), ("b", 100, 110, "e"))
    given = {**files, "intervals": path}
    build = {**ENHANCERS, "test_contigs": ["b"]}

    def fails(sentence, changes, given=given):
        with pytest.raises(InputError, match=sentence):
            cut({**build, **changes}, "mine.x", given)

    fails(
        r"asks for 'chr9' in build.test_contigs, which genome g does not hold; it holds a, b",
        {"test_contigs": ["chr9"]},
    )
    fails(r"asks for 'c' in build.contigs", {"contigs": ["a", "c"]})
    fails(r"test contig 'b', which is not among its build.contigs", {"contigs": ["a"]})
    fails(r"names no element that gets a label, among 2 records", {"labels_by_name": {"^z": 1}})
    fails(r"all 2 elements are longer than the windows of 8", {"length": 8, "longer": "drop"})
    fails(
        r"length 13; splice sites need an even length",
        {**SITES, "length": 13},
        {**files, "annotation": gtf(tmp_path, ("a", "+", ((100, 120), (200, 230))))},
    )
    fails(
        r"x\.bed: 1 of 2 intervals have no strand, the first is b:100-110, .* write '\+' or '-'",
        {**PROMOTERS},
        {
            **files,
            "intervals": bed(tmp_path, ("a", 1, 2, "e", 0, "+"), ("b", 100, 110, "e", 0, ".")),
        },
    )
    other = bed(tmp_path, ("chr1", 100, 110, "e"))
    fails(
        r"x.bed names no element .* its 1 records are on chr1, the genome's contigs are a, b",
        {},
        {**files, "intervals": other},
    )
    full = bed(tmp_path, *[("a", i, i + 10, "e") for i in range(0, 1240, 12)], ("b", 50, 60, "e"))
    fails(
        r"on contig a \d+ windows of 10 bases were found .* but 99 are needed: lower build.max",
        {},
        {**files, "intervals": full},
    )
    # No contig is left for the test rows.
    with pytest.raises(InputError, match=r"Task mine.x has no test rows .* other test_contigs"):
        make_task(
            {**files, "intervals": bed(tmp_path, ("a", 100, 110, "e"), ("a", 200, 210, "e"))},
            {
                "build": resolve_build(SHIPPED, {**build, "test_contigs": []}),
                "format": "auto",
                "sequence_column": "s",
                "label_column": "l",
                "shuffle_labels": False,
                "seed": 1,
            },
            "mine.x",
            {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 1},
        )


@pytest.fixture(scope="module")
def human(tmp_path_factory, data_folder):
    """The chr21 piece: its files, and a reader of absolute coordinates made of pyfaidx."""
    folder = data_folder / HUMAN
    source = folder / "21_24985581-26000306.fa.gz"
    made = tmp_path_factory.mktemp("human")
    files = store(made, source)
    # pyfaidx reads bgzip only with a package that nothing else needs.
    (made / "plain.fa").write_bytes(gzip.decompress(source.read_bytes()))
    record = Fasta(str(made / "plain.fa"), sequence_always_upper=True)["21:24985581-26000306"]
    return folder, files, lambda contig, start, end: str(record[start - 24985580 : end - 24985580])


def test_real_promoters_equal_pyfaidx_at_the_starts_of_the_bed_file(human):
    folder, files, read = human
    build = {**PROMOTERS, "upstream": 249, "downstream": 51, "test_contigs": []}
    path = str(folder / "epdnew_promoters.bed.gz")
    rows, _ = cut(build, "t", {**files, "intervals": path})
    assert len(places(rows, 1)) == 9
    for row in rows:
        (place,) = places([row])
        assert row.sequence == expected_text(read, place)
        assert len(row.sequence) == 300
    # JAM2_1 of the file: 21 25562130 25562131 +; MRPL39_1: 21 25607480 25607481 -.
    assert ("21", 25562130 - 249, 25562131 + 50, "+") in places(rows, 1)
    assert ("21", 25607480 - 50, 25607481 + 249, "-") in places(rows, 1)


def test_real_enhancers_equal_pyfaidx_around_their_middles(human):
    folder, files, read = human
    path = str(folder / "fantom5_enhancers.bed.gz")
    build = {**ENHANCERS, "length": 200, "test_contigs": []}
    rows, _ = cut(build, "t", {**files, "intervals": path})
    assert len(places(rows, 1)) == len(places(rows, 0)) == 29
    # Elements without a strand are read on either.
    assert ("21", 25329353 - 100, 25329353 + 100) in {place[:3] for place in places(rows, 1)}
    assert all(row.sequence == expected_text(read, places([row])[0]) for row in rows)


def test_real_splice_windows_have_gt_and_ag_at_their_middle(human):
    folder, files, read = human
    path = str(folder / "refGene.21_24985581-26000306.gtf.gz")
    build = {**SITES, "length": 400, "test_contigs": []}
    rows, _ = cut(build, "t", {**files, "annotation": path})
    assert all(row.sequence == expected_text(read, places([row])[0]) for row in rows)
    donors = [row.sequence[200:202] for row in rows if row.label == "2"]
    acceptors = [row.sequence[198:200] for row in rows if row.label == "1"]
    assert min(len(donors), len(acceptors)) > 40
    # GC-AG introns are about one in a hundred.
    assert np.mean([pair == "GT" for pair in donors]) > 0.95
    assert np.mean([pair == "AG" for pair in acceptors]) > 0.95
    plus = sum(row.provenance.endswith("(+)") for row in rows if row.label != "0")
    assert 0 < plus < len(donors) + len(acceptors)


def test_sites_of_gaps_too_short_for_an_intron_are_counted_and_avoided_but_no_positives(
    genome, tmp_path, caplog
):
    _, files = genome
    # On each contig a real intron, and a gap of two bases; the second contig tests.
    rows = [
        (contig, start, end, f"{contig}{number}")
        for contig in "ab"
        for number, exons in enumerate([((100, 150), (200, 250)), ((300, 350), (353, 400))])
        for start, end in exons
    ]
    path = tmp_path / "x.gtf"
    path.write_text(
        "".join(
            f'{contig}\tx\texon\t{start}\t{end}\t.\t+\t.\ttranscript_id "{name}";\n'
            for contig, start, end, name in rows
        )
    )
    build = SITES | {"test_contigs": ["b"], "balance": "found", "min_intron": 3}
    found, facts = cut(build, "mine.x", files | {"annotation": str(path)})
    assert (facts["elements"], facts["records_without_label"], facts["kept"]) == (4, 4, 4)
    for row in found:
        _, start, end, _ = PLACE.fullmatch(row.provenance).groups()
        assert row.label in "12" or not (int(start) < 353 and int(end) > 350)
    assert "4 splice sites of gaps between exons of fewer than 3 bases" in caplog.text
    _, all_gaps = cut(build | {"min_intron": 1}, "mine.x", files | {"annotation": str(path)})
    assert all_gaps["elements"] == 8


def strands_of(rows, label):
    return {place[:3]: place[3] for place in places(rows, label)}


@pytest.mark.parametrize("recipe", ["enhancers", "peaks"])
def test_elements_without_a_strand_are_read_on_either_as_negatives_are(genome, tmp_path, recipe):
    texts, files = genome
    lines = [(c, start, start + 10, "e") for c in "ab" for start in range(20, 580, 25)]
    build = {**ENHANCERS, "recipe": recipe, "test_contigs": ["b"], "maximum": MAXIMUM}
    made = {
        choice: cut(
            build | {"unstranded": choice}, "t", {**files, "intervals": bed(tmp_path, *lines)}
        )[0]
        for choice in ("random", "forward")
    }
    forward, drawn = (strands_of(made[choice], "1") for choice in ("forward", "random"))
    assert drawn.keys() == forward.keys()
    assert set(forward.values()) == {"+"}
    shares = [list(drawn.values()).count(strand) / len(drawn) for strand in "+-"]
    assert min(shares) > 0.25
    # Nothing else is drawn otherwise, and a strand is that of the place, not of the line.
    assert strands_of(made["random"], "0") == strands_of(made["forward"], "0")
    again = bed(tmp_path, *lines[::-1], *lines[:5])
    assert strands_of(cut(build, "t", {**files, "intervals": again})[0], "1") == drawn
    for row in made["random"]:
        contig, start, end, strand = PLACE.fullmatch(row.provenance).groups()
        text = texts[contig][int(start) : int(end)]
        assert row.sequence == (text.translate(COMPLEMENT)[::-1] if strand == "-" else text)


def test_a_strand_of_the_file_is_kept(genome, tmp_path):
    _, files = genome
    lines = [
        (c, s, s + 10, "e", 0, "-+."[i % 3]) for c in "ab" for i, s in enumerate(range(20, 500, 25))
    ]
    build = {**ENHANCERS, "test_contigs": ["b"], "strand_column": 6}
    found = strands_of(cut(build, "t", {**files, "intervals": bed(tmp_path, *lines)})[0], "1")
    given = {(contig, start, end): strand for contig, start, end, _, _, strand in lines}
    assert all(found[place] == strand for place, strand in given.items() if strand != ".")
    unstranded = [found[place] for place, strand in given.items() if strand == "."]
    assert set(unstranded) == {"+", "-"}
