"""Distances to transcription start sites beside `bedtools closest`, and negatives by them."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.variants.prioritisation.labelled_set import (
    DISTANCE,
    SetConfig,
    label_set,
    write_set,
)
from dnalm.variants.prioritisation.labels import LabelConfig
from dnalm.variants.prioritisation.matching import MatchConfig, match_negatives
from dnalm.variants.prioritisation.start_sites import measure_distances, read_start_sites

SPAN, CONTIGS = 20_000, ["1", "chr2", "X"]
MATCH = MatchConfig(
    common="c.vcf", tss="t.bed", frequency="AF", min_frequency=0.05, within=10**9,
    same_consequence=False, choose="tss_distance", ratio=1, seed=0,
)  # fmt: skip
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def draw_sites(random, count=60):
    """Return (contig, start, end, strand) of genes that are named as in another file."""
    return [
        (str(random.choice(["chr1", "2", "X"])), int(start), int(start + length), strand)
        for start, length, strand in zip(
            random.integers(0, SPAN, count),
            random.integers(1, 400, count),
            random.choice(["+", "-"], count),
            strict=True,
        )
    ]


def draw_variants(random, count=800):
    return pd.DataFrame(
        {
            "chrom": random.choice(CONTIGS, count),
            "pos": random.integers(1, SPAN, count),
            "ref": random.choice(["A", "ACGT", "AC"], count, p=[0.7, 0.2, 0.1]),
            "alt": "G",
        }
    )


def write_bed(path, sites):
    lines = [f"{contig}\t{start}\t{end}\tg\t0\t{strand}\n" for contig, start, end, strand in sites]
    path.write_text("".join(lines))
    return str(path)


def first_bases(sites):
    return [
        (contig.removeprefix("chr"), end - 1 if strand == "-" else start)
        for contig, start, end, strand in sites
    ]


def test_distances_are_those_of_brute_force(tmp_path):
    random = np.random.default_rng(0)
    sites, variants = draw_sites(random), draw_variants(random)
    found = measure_distances(variants, read_start_sites(write_bed(tmp_path / "g.bed", sites)))
    for row, distance in zip(variants.itertuples(), found, strict=True):
        bases = range(row.pos - 1, row.pos - 1 + len(row.ref))
        own = [p for contig, p in first_bases(sites) if contig == row.chrom.removeprefix("chr")]
        assert distance == min(abs(base - place) for base in bases for place in own)


@pytest.mark.skipif(
    shutil.which("bedtools") is None,
    reason="bedtools is not installed (apt-get install bedtools): compared with brute force alone",
)
def test_distances_are_those_of_bedtools_closest(tmp_path):
    random = np.random.default_rng(1)
    sites, variants = draw_sites(random), draw_variants(random)
    found = measure_distances(variants, read_start_sites(write_bed(tmp_path / "g.bed", sites)))
    points = sorted(first_bases(sites))
    (tmp_path / "b.bed").write_text("".join(f"{c}\t{p}\t{p + 1}\n" for c, p in points))
    rows = sorted(
        (row.chrom.removeprefix("chr"), row.pos - 1, row.pos - 1 + len(row.ref), row.Index)
        for row in variants.itertuples()
    )
    (tmp_path / "a.bed").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    done = subprocess.run(
        ["bedtools", "closest", "-d", "-t", "first", "-a", "a.bed", "-b", "b.bed"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    theirs = {int(line[3]): int(line[-1]) for line in lines}
    assert [theirs[row] for row in range(len(variants))] == found.tolist()


def test_first_bases_of_transcripts_of_a_gtf_are_its_start_sites(tmp_path):
    lines = []
    for name, strand, exons in (
        ("a", "+", [(100, 200), (300, 400)]),
        ("b", "-", [(500, 600), (700, 800)]),
        ("c", "+", [(100, 150)]),  # another transcript that begins there
    ):
        lines += [
            f'chr1\ts\texon\t{start}\t{end}\t.\t{strand}\t.\tgene_id "g"; transcript_id "{name}";\n'
            for start, end in exons
        ]
    (tmp_path / "g.gtf").write_text("".join(lines))
    sites = read_start_sites(tmp_path / "g.gtf")
    assert {contig: own.tolist() for contig, own in sites.items()} == {"1": [99, 799]}
    variants = pd.DataFrame({"chrom": "1", "pos": [100, 101, 790, 800], "ref": "A", "alt": "C"})
    assert measure_distances(variants, sites).tolist() == [0, 1, 10, 0]


def test_negatives_are_as_far_from_a_site_as_their_positives():
    random = np.random.default_rng(2)
    positives = draw_variants(random, 40).assign(tss_distance=random.integers(0, 5_000, 40) * 1.0)
    candidates = draw_variants(random, 4_000).assign(ref="A")
    candidates[DISTANCE] = random.integers(0, 50_000, 4_000) * 1.0
    rows, of, counts = match_negatives(positives, candidates, MATCH)
    far = np.abs(candidates[DISTANCE].to_numpy()[rows] - positives[DISTANCE].to_numpy()[of])
    assert len(rows) == 40
    assert counts["tss_distance_median_difference"] == np.median(far)
    assert counts["tss_distance_largest_difference"] == far.max()
    # The nearest of those that nobody before has taken: one of the first of its chromosome.
    contigs = candidates["chrom"].to_numpy()
    for row, positive in zip(rows, of, strict=True):
        wanted = positives.iloc[positive]
        others = np.abs(candidates[DISTANCE].to_numpy() - wanted[DISTANCE])
        others = np.sort(others[contigs == wanted["chrom"]])
        assert abs(candidates[DISTANCE].iloc[row] - wanted[DISTANCE]) <= others[len(of)]
    chance = np.abs(random.permutation(candidates[DISTANCE])[:40] - positives[DISTANCE])
    assert np.median(far) < 0.05 * np.median(chance)


def test_a_positive_on_a_contig_without_sites_has_no_match():
    positives = pd.DataFrame({"chrom": ["1", "2"], "pos": 10, "ref": "A", "alt": "C"})
    candidates = pd.DataFrame({"chrom": ["1", "2"], "pos": 20, "ref": "A", "alt": "C"})
    positives[DISTANCE], candidates[DISTANCE] = [5.0, np.inf], [6.0, np.inf]
    rows, of, counts = match_negatives(positives, candidates, MATCH)
    assert (rows.tolist(), of.tolist()) == ([0], [0])
    assert counts["positives_with_too_few_negatives"] == 1


def test_a_set_is_matched_by_the_file_that_is_named_and_says_how_well(tmp_path):
    positives = tmp_path / "p.tsv"
    positives.write_text("chrom\tpos\tref\talt\nchr1\t1101\tA\tT\n")
    lines = [f"1\t{pos}\t.\tA\tG\t.\t.\tAF=0.3\n" for pos in (1_105, 5_050, 9_101)]
    (tmp_path / "c.vcf").write_text(HEADER + "".join(lines))
    sites = [("1", 1_000, 1_001, "+"), ("1", 5_000, 5_001, "+"), ("1", 9_000, 9_001, "+")]
    label = LabelConfig(
        info=None, path=None, column="label", positives=str(positives), negatives=None,
        positive=[], negative=[],
    )  # fmt: skip
    files = {"common": str(tmp_path / "c.vcf"), "tss": write_bed(tmp_path / "t.bed", sites)}

    def make(**changed):
        return SetConfig(
            name="s", vcf=None, label=label, consequence=None, compare={},
            match=MatchConfig(**{**vars(MATCH), **files, **changed}),
        )  # fmt: skip

    # 100 bases from a site: that one is not the nearest in place.
    table, counts = label_set(make())
    assert table.loc[~table["label"], "pos"].tolist() == [9_101]
    assert counts["tss_distance_largest_difference"] == 0
    paths = {"labels": str(tmp_path / "l.parquet"), "summary": str(tmp_path / "l.json")}
    write_set(table, counts, "s", paths)
    assert pd.read_parquet(paths["labels"])[DISTANCE].tolist() == [100, 100]
    assert json.loads((tmp_path / "l.json").read_text())["tss_distance_median_difference"] == 0
    near, _ = label_set(make(choose="nearest", tss=None))
    assert near.loc[~near["label"], "pos"].tolist() == [1_105]
    elsewhere = write_bed(tmp_path / "e.bed", [("7", 5, 6, "+")])
    with pytest.raises(InputError, match=r"e.bed: its start sites are on the contigs 7, the var"):
        label_set(make(tss=elsewhere))


@pytest.mark.parametrize("name", ["x.bed", "x.BED", "x.bed.bgz", "x.narrowPeak", "x.narrowPeak.gz"])
def test_a_file_is_one_of_intervals_by_its_ending_in_any_case(tmp_path, name):
    (tmp_path / name).write_text("c\t10\t20\tn\t0\t-\n")
    assert {key: own.tolist() for key, own in read_start_sites(tmp_path / name).items()} == {
        "c": [19]
    }
