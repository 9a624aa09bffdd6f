"""Mixed ploidy: haploid calls among diploid ones, against `bcftools consensus`."""

import logging

import numpy as np
import pytest

from dnalm.genome.haplotypes.contig import HaplotypeContig
from dnalm.genome.haplotypes.ploidy import SPANS
from dnalm.genome.haplotypes.reading import HaplotypeStore

#           1234567890123456789012
SEQUENCE = "ACGTACGTTTGGCCAATCGAGA"
EVERY_START = np.arange(len(SEQUENCE))


def drawn(panel, sample: int, start: int) -> set[int]:
    """Return which haplotypes, 1 or 2, of a sample windows may have that begin at `start`."""
    store = panel.haplotypes
    draws = np.random.default_rng(0).random((2000, 2))
    chosen = store.settle(store.choose(draws, "random"), np.full(2000, start))
    return {int(haplotype % 2) + 1 for haplotype in chosen if haplotype // 2 == sample}


def bases(positions: list[int], genotypes: list[str], other: str = "0|1") -> list[tuple]:
    """Return records of single bases, POS given, of s0 with `genotypes` and s1 always `other`."""
    turned = {"A": "C", "C": "A", "G": "T", "T": "G"}
    return [
        (position, SEQUENCE[position - 1], turned[SEQUENCE[position - 1]], ".", genotype, other)
        for position, genotype in zip(positions, genotypes, strict=True)
    ]


def test_one_haploid_call_takes_no_haplotype_away(make_panel, bcftools, caplog):
    records = bases([2, 6, 10, 14], ["0|1", "1|0", "1", "0|1"])
    with caplog.at_level(logging.WARNING):
        panel = make_panel(SEQUENCE, records)
    for sample in (0, 1):
        for haplotype in (1, 2):
            assert panel.sequence(sample, haplotype) == bcftools(
                SEQUENCE, records, sample, haplotype
            )
    # Between the haploid call, POS 10, and the next diploid one the first haplotype stands alone.
    alone = [start for start in EVERY_START.tolist() if drawn(panel, 0, start) == {1}]
    assert alone == [9, 10, 11, 12]
    assert all(drawn(panel, 1, start) == {1, 2} for start in EVERY_START.tolist())
    assert panel.haplotypes.manifest["haplotypes"] == 4
    assert panel.haplotypes.manifest["haploid"] == {
        "calls": 1,
        "samples": 0,
        "mixed_samples": 1,
        "mixed_calls": 1,
        "first_mixed": ["s0 at 10"],
    }
    assert "c: 1 samples have 1 haploid calls beside diploid ones (the first: s0 at 10)" in (
        caplog.text
    )


def test_a_man_keeps_both_haplotypes_of_the_pseudoautosomal_regions(make_panel, bcftools):
    records = bases([2, 4, 8, 12, 16, 20], ["0|1", "1|1", "1", "0", "1", "0|1"])
    panel = make_panel(SEQUENCE, records)
    for haplotype in (1, 2):
        assert panel.sequence(0, haplotype) == bcftools(SEQUENCE, records, 0, haplotype)
    both = [start for start in EVERY_START.tolist() if drawn(panel, 0, start) == {1, 2}]
    assert both == [*range(7), 19, 20, 21]
    samples = (panel.folder / "store/samples.tsv").read_text().splitlines()
    assert [line.split("\t")[:2] for line in samples[1:3]] == [["s0", "1"], ["s0", "2"]]


CALLS = {
    "haploid at both ends": (["1", "0", "0|1", "1"], [*range(9), *range(13, 22)]),
    "missing in a haploid span": (["0|1", "1", ".", "0|1"], range(5, 13)),
    "missing as two in a haploid span": (["0|1", "1", "./.", "0|1"], range(5, 13)),
    "missing in a diploid span": (["0|1", ".", "0", "0|0"], range(9, 13)),
    "unphased beside haploid": (["0/0", "1", "0/1", "0|1"], range(5, 9)),
    "half missing is diploid": (["1", ".|1", "1|.", "0"], [*range(5), *range(13, 22)]),
    "to the end": (["0|1", "0|0", "0|0", "0"], range(13, 22)),
}


@pytest.mark.parametrize(("genotypes", "alone"), CALLS.values(), ids=CALLS)
def test_a_sample_is_haploid_from_a_haploid_call_to_the_next_diploid_one(
    make_panel, genotypes, alone
):
    panel = make_panel(SEQUENCE, bases([2, 6, 10, 14], genotypes))
    assert [s for s in EVERY_START.tolist() if drawn(panel, 0, s) == {1}] == list(alone)


def test_a_contig_of_haploid_or_diploid_samples_alone_has_no_spans(make_panel):
    for genotypes in (["0|1"] * 4, ["1", "0", ".", "1"], ["./.", "1", "0", "1"], [".|."] * 4):
        panel = make_panel(SEQUENCE, bases([2, 6, 10, 14], genotypes))
        assert not (panel.folder / "store" / SPANS).exists()
        expected = {1} if "1" in genotypes else {1, 2}
        assert all(drawn(panel, 0, start) == expected for start in EVERY_START.tolist())


def test_a_store_without_spans_is_read_as_it_was(make_panel):
    panel = make_panel(SEQUENCE, bases([2, 6, 10, 14], ["0|1", "1|0", "1", "0|1"]))
    (panel.folder / "store" / SPANS).unlink()
    store = HaplotypeStore(panel.folder / "store")
    chosen = np.array([0, 1, 2, 3])
    assert store.settle(chosen, np.array([10] * 4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(6))
def test_panels_of_mixed_ploidy_are_those_of_bcftools(make_panel, bcftools, sequence, seed):
    random, samples = np.random.default_rng(seed), 3
    text = sequence(seed, 200)
    calls = ["0|1", "1|0", "1|1", "0|0", "1", "0", ".", "1|.", "1/1"]
    # Not in one record: bcftools takes 0/1 as phased beside a sample of |0|1, against VCF 4.4.
    calls += ["|0|1", "/1"] if seed % 2 else ["0/1", "./1"]
    records = []
    for position in sorted(random.choice(np.arange(2, 190), 40, replace=False).tolist()):
        reference = text[position - 1 : position + random.integers(0, 3)]
        alternative = reference[0] + "".join(random.choice(list("ACGT"), random.integers(0, 3)))
        if alternative == reference:
            alternative = "A" if reference[0] != "A" else "C"
        chosen = random.choice(calls, samples).tolist()
        records.append((position, reference, alternative, ".", *chosen))
    panel = make_panel(text, records)
    for sample in range(samples):
        for haplotype in (1, 2):
            told = bcftools(text, records, sample, haplotype)
            assert panel.sequence(sample, haplotype) == told, (sample, haplotype)
    states = {sample: [] for sample in range(samples)}
    for (
        position,
        *_,
    ) in records:
        genotypes = next(r[4:] for r in records if r[0] == position)
        for sample, genotype in enumerate(genotypes):
            if set(genotype) - set("./|"):
                is_haploid = genotype.lstrip("|/").isdigit()
                states[sample].append((position - 1, is_haploid))
    for sample, calls_of in states.items():
        for start in range(0, 200, 7):
            last = [state for at, state in calls_of if at <= start] or [calls_of[0][1]]
            assert drawn(panel, sample, start) == ({1} if last[-1] else {1, 2})


def test_a_contig_reads_and_names_the_haplotype_of_where_a_window_begins(make_panel):
    records = bases([2, 4, 8, 12, 16, 20], ["0|1", "1|1", "1", "0", "1", "0|1"])
    panel = make_panel(SEQUENCE, records)
    place = {"contig": "c", "start": 0, "length": len(SEQUENCE), "offset": 0}
    digest = panel.haplotypes.manifest["digest"]
    contig = HaplotypeContig(
        panel.folder / "store",
        panel.genome,
        place,
        {"draw": "second", "contigs": {"c": {"digest": digest}}},
    )
    draw = np.array([0.0, 0.9])
    for start, haplotype in ((0, 2), (10, 1), (20, 2)):
        assert contig.name(draw, start) == {"sample": "s0", "haplotype": haplotype}
        codes, _ = contig.read(np.array([start]), draw[None, :], 22 - start)
        expected, _ = panel.haplotypes.read(
            panel.reference[0], 0, np.array([haplotype - 1]), np.array([start]), 22 - start
        )
        assert codes.tolist() == expected.tolist()


def test_missing_alleles_are_counted_and_told(make_panel, caplog):
    first, second = ["0|1", "./.", "0|0", ".|."], [".", "1|.", "0|0", "./1"]
    records = [
        (*record[:-1], other)
        for record, other in zip(bases([2, 6, 10, 14], first), second, strict=True)
    ]
    with caplog.at_level(logging.WARNING):
        panel = make_panel(SEQUENCE, records)
    assert panel.haplotypes.manifest["missing"] == {"alleles": 7, "records": 3}
    assert "c: 7 missing alleles in 3 of 4 records are read as the reference" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        panel = make_panel(SEQUENCE, bases([2, 6], ["0|1", "1|0"]))
    assert panel.haplotypes.manifest["missing"] == {"alleles": 0, "records": 0}
    assert not caplog.records
