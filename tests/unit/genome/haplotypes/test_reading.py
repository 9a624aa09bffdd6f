"""Haplotypes against `bcftools consensus`: every kind of record, fuzzed panels, and real ones."""

import gzip

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.haplotypes.reference import ReferenceContig
from dnalm.genome.haplotypes.store import BLOCK_VARIANTS, StoreWriter
from dnalm.genome.kmers import to_codes

#           1234567890123456789012
SEQUENCE = "ACGTACGTTTGGCCAATCGAGA"
MISMATCH = "REF differs from the genome"

# (POS, REF, ALT, INFO, genotype of s0, …), and both haplotypes of s0 by hand.
SAME = {
    "an allele of each haplotype": ([(2, "C", "A", ".", "0|1")], SEQUENCE, "AA" + SEQUENCE[2:]),
    "two alternatives": (
        [(2, "C", "A,T", ".", "1|2")],
        "AA" + SEQUENCE[2:],
        "AT" + SEQUENCE[2:],
    ),
    "missing": ([(2, "C", "A", ".", ".|.")], SEQUENCE, SEQUENCE),
    "missing and unphased": ([(2, "C", "A", ".", "./.")], SEQUENCE, SEQUENCE),
    "half missing": ([(2, "C", "A", ".", "1|.")], "AA" + SEQUENCE[2:], SEQUENCE),
    "other half missing": ([(2, "C", "A", ".", ".|1")], SEQUENCE, "AA" + SEQUENCE[2:]),
    "half missing, unphased": (
        [(2, "C", "A", ".", "./1")],
        "AA" + SEQUENCE[2:],
        "AA" + SEQUENCE[2:],
    ),
    "unphased heterozygote": (
        [(2, "C", "A", ".", "0/1")],
        "AN" + SEQUENCE[2:],
        "AN" + SEQUENCE[2:],
    ),
    "unphased homozygote": ([(2, "C", "A", ".", "1/1")], "AA" + SEQUENCE[2:], "AA" + SEQUENCE[2:]),
    "unphased insertion": (
        [(2, "C", "CTT", ".", "0/1")],
        "ACTT" + SEQUENCE[2:],
        "ACTT" + SEQUENCE[2:],
    ),
    "unphased deletion": (
        [(2, "CGT", "C", ".", "0/1")],
        "AC" + SEQUENCE[4:],
        "AC" + SEQUENCE[4:],
    ),
    "unphased alleles of two lengths": (
        [(1, "AC", "AG,ATTT", ".", "1/2")],
        "ANTT" + SEQUENCE[2:],
        "ANTT" + SEQUENCE[2:],
    ),
    "haploid beside diploid": (
        [(2, "C", "A", ".", "1", "0|1")],
        "AA" + SEQUENCE[2:],
        SEQUENCE,
    ),
    "all haploid": ([(2, "C", "A", ".", "1")], "AA" + SEQUENCE[2:], SEQUENCE),
    "phase of the first allele written": (
        [(2, "C", "A", ".", "|0|1")],
        SEQUENCE,
        "AA" + SEQUENCE[2:],
    ),
    "two bases at one place": (
        [(2, "C", "A", ".", "1|0"), (2, "C", "T", ".", "1|1")],
        "AA" + SEQUENCE[2:],
        "AT" + SEQUENCE[2:],
    ),
    "base, then insertion at one place": (
        [(1, "A", "G", ".", "1|0"), (1, "A", "ATT", ".", "1|1")],
        "GTT" + SEQUENCE[1:],
        "ATT" + SEQUENCE[1:],
    ),
    "insertion, then base at one place": (
        [(1, "A", "ATT", ".", "1|0"), (1, "A", "G", ".", "1|1")],
        "ATT" + SEQUENCE[1:],
        "G" + SEQUENCE[1:],
    ),
    "base inside a deletion": (
        [(2, "CGT", "C", ".", "1|0"), (3, "G", "A", ".", "1|1")],
        "AC" + SEQUENCE[4:],
        "ACA" + SEQUENCE[3:],
    ),
    "insertion on the last base of a deletion": (
        [(2, "CGT", "C", ".", "1|0"), (4, "T", "TAA", ".", "1|1")],
        "ACAA" + SEQUENCE[4:],
        "ACGTAA" + SEQUENCE[4:],
    ),
    "insertion on the last base of several": (
        [(2, "CGT", "AAA", ".", "1|0"), (4, "T", "TCC", ".", "1|1")],
        "AAAACC" + SEQUENCE[4:],
        "ACGTCC" + SEQUENCE[4:],
    ),
    "base on the last base of a deletion": (
        [(2, "CGT", "C", ".", "1|0"), (4, "T", "A", ".", "1|1")],
        "AC" + SEQUENCE[4:],
        "ACGA" + SEQUENCE[4:],
    ),
    "insertion on the last base of an insertion with more REF": (
        [(1, "ACG", "ACGTT", ".", "1|0"), (3, "G", "GAA", ".", "1|1")],
        "ACGTT" + SEQUENCE[3:],
        "ACGAA" + SEQUENCE[3:],
    ),
    "complex record on a used base": (
        [(17, "T", "G", ".", "1|0"), (17, "TCGAGA", "TAG", ".", "1|1")],
        SEQUENCE[:16] + "GCGAGA",
        SEQUENCE[:16] + "TAG",
    ),
    "unanchored record on a used base": (
        [(1, "A", "G", ".", "1|0"), (1, "A", "TTA", ".", "1|1")],
        "G" + SEQUENCE[1:],
        "TTA" + SEQUENCE[1:],
    ),
    "neighbours": (
        [(2, "C", "A", ".", "1|0"), (3, "G", "GTT", ".", "1|1")],
        "AAGTT" + SEQUENCE[3:],
        "ACGTT" + SEQUENCE[3:],
    ),
    "first base deleted": ([(1, "AC", "C", ".", "1|0")], SEQUENCE[1:], SEQUENCE),
    "REF past the end": ([(21, "GAC", "G", ".", "1|0")], SEQUENCE[:21], SEQUENCE),
    "insertion at the last base": ([(22, "A", "ATT", ".", "1|0")], SEQUENCE + "TT", SEQUENCE),
    "not carried, overlaps and contradicts": (
        [(2, "TTT", "T", ".", "0|0"), (3, "G", "A", ".", "1|1")],
        "ACA" + SEQUENCE[3:],
        "ACA" + SEQUENCE[3:],
    ),
    "unspecified allele": ([(2, "C", "<*>", ".", "1|0")], SEQUENCE, SEQUENCE),
    "unspecified allele of a gVCF": ([(2, "C", "<NON_REF>", ".", "1|0")], SEQUENCE, SEQUENCE),
    "lower case and IUPAC": ([(2, "C", "ctR", ".", "1|0")], "ACTN" + SEQUENCE[2:], SEQUENCE),
}


@pytest.mark.parametrize(("records", "first", "second"), SAME.values(), ids=SAME)
def test_a_record_is_read_as_by_hand_and_as_bcftools_reads_it(
    make_panel, bcftools, records, first, second
):
    panel = make_panel(SEQUENCE, records)
    for haplotype, sequence in ((1, first), (2, second)):
        assert bcftools(SEQUENCE, records, 0, haplotype) == sequence
        assert panel.sequence(0, haplotype) == sequence


# What bcftools copies as text, or stops at: here it counts as the reference.
OURS = {
    "star": ([(2, "C", "*", ".", "1|1")], {"deleted by another record (*)": 2}),
    "symbolic deletion": ([(2, "C", "<DEL>", "END=5", "1|0")], {"symbolic deletion (<DEL>)": 1}),
    "copy number": ([(2, "C", "<CN0>", "END=5", "1|1")], {"other symbolic allele": 2}),
    "duplication": ([(2, "C", "<DUP>", "END=5", "0|1")], {"other symbolic allele": 1}),
    "inserted element": ([(2, "C", "<INS:ME:ALU>", ".", "1|1")], {"other symbolic allele": 2}),
    "breakend": ([(2, "C", "C[c:9[", ".", "1|0")], {"breakend": 1}),
    "REF of another genome": ([(2, "T", "A", ".", "1|1")], {MISMATCH: 2}),
    "unphased with a star": ([(2, "C", "*", ".", "0/1")], {"deleted by another record (*)": 1}),
}


@pytest.mark.parametrize(("records", "ignored"), OURS.values(), ids=OURS)
def test_an_allele_without_letters_is_the_reference_and_counted(
    make_panel, bcftools, records, ignored
):
    # A neighbour that is applied: what is left out must not stand in its way.
    beside = (3, "G", "A", ".", "1|1")
    panel = make_panel(SEQUENCE, [*records, beside], largest_mismatch=1.0)
    for haplotype in (1, 2):
        assert panel.sequence(0, haplotype) == bcftools(SEQUENCE, [beside], 0, haplotype)
    assert panel.haplotypes.manifest["ignored"] == ignored


def test_symbolic_deletions_can_be_applied_up_to_their_end_as_bcftools_does(make_panel, bcftools):
    records = [
        (2, "C", "<DEL>", "END=5;SVTYPE=DEL", "1|0"),
        (4, "T", "A", ".", "1|1"),
        (5, "A", "ATT", ".", "1|1"),
        (6, "C", "G", ".", "1|1"),
    ]
    panel = make_panel(SEQUENCE, records, symbolic_deletions="apply")
    for haplotype in (1, 2):
        assert panel.sequence(0, haplotype) == bcftools(SEQUENCE, records, 0, haplotype)


def test_a_contradicting_end_of_a_plain_record_is_ignored(make_panel):
    panel = make_panel(SEQUENCE, [(2, "C", "A", "END=5", "1|0"), (4, "T", "A", ".", "1|1")])
    assert panel.sequence(0, 1) == "AAGA" + SEQUENCE[4:]


def test_a_skipped_record_is_counted_and_blocks_nothing(make_panel):
    records = [
        (2, "CGT", "C", ".", "1|0"),
        (3, "GTAC", "G", ".", "1|0"),  # overlaps
        (5, "A", "T", ".", "1|0"),  # only the one that was skipped reaches here
    ]
    panel = make_panel(SEQUENCE, records)
    assert panel.sequence(0, 1) == "ACT" + SEQUENCE[5:]
    assert panel.haplotypes.manifest["ignored"] == {"overlaps a record applied before": 1}


def test_what_a_haplotype_carries_is_counted_by_type(make_panel):
    records = [
        (1, "A", "G", ".", "1|1", "0|1"),
        (3, "G", "GTT", ".", "1|0", "0|1"),
        (6, "CGT", "C", ".", "0|1", "0|1"),
        (12, "GCC", "TA", ".", "1|0", "0|0"),
    ]
    panel = make_panel(SEQUENCE, records)
    lines = (panel.folder / "store/samples.tsv").read_text().splitlines()
    assert lines == [
        "sample\thaplotype\tsnvs\tinsertions\tdeletions\tothers",
        "s0\t1\t1\t1\t0\t1",
        "s0\t2\t1\t0\t1\t0",
        "s1\t1\t0\t0\t0\t0",
        "s1\t2\t1\t1\t1\t0",
    ]
    assert panel.haplotypes.manifest["alleles"] == 8


def test_the_second_haplotype_of_a_haploid_sample_is_never_drawn(make_panel):
    panel = make_panel(SEQUENCE, [(2, "C", "A", ".", "0", "0|1"), (4, "T", "A", ".", "1", ".")])
    draws = np.random.default_rng(0).random((1000, 2))
    assert set(panel.haplotypes.choose(draws, "random")) == {0, 2, 3}
    assert set(panel.haplotypes.choose(draws, "first")) == {0, 2}
    assert set(panel.haplotypes.choose(draws, "second")) == {0, 3}


def test_individuals_and_then_their_haplotypes_are_drawn_evenly(make_panel):
    panel = make_panel(SEQUENCE, [(2, "C", "A", ".", "1", "0|1", "0|0", "1|1")])
    draws = np.random.default_rng(0).random((40_000, 2))
    counts = np.bincount(panel.haplotypes.choose(draws, "random"), minlength=8) / len(draws)
    assert counts == pytest.approx([0.25, 0, *[0.125] * 6], abs=0.01)


def random_records(random: np.random.Generator, sequence: str, samples: int) -> list[tuple]:
    """Return records that crowd, overlap and reach over the end, some genotypes unphased."""
    records = []
    for position in sorted(random.integers(0, len(sequence), len(sequence) // 4)):
        length = int(random.choice([1, 1, 1, 1, 2, 3, 5]))
        reference = sequence[position : position + length]
        if random.random() < 0.5:
            reference += "".join(random.choice(list("ACGT"), length - len(reference)))
        tail = "".join(random.choice(list("ACGT"), int(random.integers(1, 4))))
        kinds = (
            tail[0] + reference[1:],
            reference[0] + tail + reference[1:],
            reference[0] + tail,
            reference[0],
            tail,
        )
        chosen = dict.fromkeys(random.choice(kinds, int(random.integers(1, 3))))
        alternatives = [text for text in chosen if text != reference]
        if alternatives:
            genotypes = []
            for _ in range(samples):
                alleles = random.integers(-1, len(alternatives) + 1, 2).clip(0).astype(str)
                alleles[random.random(2) < 0.05] = "."
                separator = "/" if random.random() < 0.25 else "|"
                genotypes.append(separator.join(alleles) if random.random() > 0.05 else alleles[0])
            records.append((position + 1, reference, ",".join(alternatives), ".", *genotypes))
    return records


@pytest.mark.parametrize("seed", range(25))
def test_crowded_records_give_the_haplotypes_of_bcftools(make_panel, bcftools, sequence, seed):
    random = np.random.default_rng(seed)
    text, samples = sequence(seed, 80), 4
    records = random_records(random, text, samples)
    panel = make_panel(text, records)
    for sample in range(samples):
        for haplotype in (1, 2):
            truth = bcftools(text, panel.variants, sample, haplotype)
            assert panel.sequence(sample, haplotype) == truth


def start_in_haplotype(carried: list[tuple[int, int, int]], start: int) -> int:
    """Return h(s): where reference position s is in a haplotype with (position, REF, ALT) lengths.

    An edit that ends at or before s shifts it; inside of one, s is as far into its letters, or
    behind them.
    """
    shift = 0
    for position, length, letters in carried:
        if position + length <= start:
            shift += letters - length
        elif position < start:
            return position + shift + min(start - position, letters)
    return start + shift


@pytest.mark.parametrize("seed", range(5))
def test_any_window_is_a_slice_of_the_whole_haplotype(make_panel, sequence, seed):
    random = np.random.default_rng(seed)
    text = sequence(seed, 300)
    records = [
        record
        for record in random_records(random, text, 1)
        if "," not in record[2] and record[0] + len(record[1]) < len(text)
    ]
    # Apart from each other, so that all of them are applied and h(s) can be told by hand.
    apart, end = [], 0
    for position, reference, alternative, info, _ in records:
        if position > end + 1:
            apart.append((position, reference, alternative, info, "1|0"))
            end = position + len(reference)
    carried = [(p - 1, len(reference), len(text)) for p, reference, text, *_ in apart]
    panel = make_panel(text, apart)
    whole = panel.sequence(0, 1)
    for start in range(len(text)):
        assert panel.sequence(0, 1, start) == whole[start_in_haplotype(carried, start) :]


def test_a_piece_of_a_contig_knows_the_records_that_reach_into_it(make_panel, bcftools):
    records = [
        (3, "GTACG", "G", ".", "1|0"),  # begins before the piece and reaches into it
        (6, "C", "A", ".", "1|1"),
        (9, "T", "TCC", ".", "1|1"),
        (22, "A", "G", ".", "1|1"),  # behind the piece
    ]
    part = make_panel(SEQUENCE[4:20], records, "c:5-20")
    assert part.contig == "c"
    assert part.haplotypes.manifest["outside_records"] == 1
    # From base 5 to base 20 of the reference, in each whole haplotype: the deletion of the first
    # leaves nothing of bases 4 to 7, and with them goes the record at 6.
    assert bcftools(SEQUENCE, records[:3], 0, 1) == "ACG" + "TTCCTGGCCAATCGA" + "GA"
    assert part.sequence(0, 1) == "TTCCTGGCCAATCGA"
    assert bcftools(SEQUENCE, records[:3], 0, 2) == "ACGT" + "AAGTTCCTGGCCAATCGA" + "GA"
    assert part.sequence(0, 2) == "AAGTTCCTGGCCAATCGA"


def test_a_symbolic_deletion_that_reaches_into_a_piece_is_applied(make_panel, bcftools):
    records = [(2, "C", "<DEL>", "END=8", "1|0"), (6, "C", "A", ".", "1|1")]
    part = make_panel(SEQUENCE[4:], records, "c:5-22", symbolic_deletions="apply")
    for haplotype in (1, 2):
        assert bcftools(SEQUENCE, records, 0, haplotype).endswith(part.sequence(0, haplotype))
    assert part.sequence(0, 1) == SEQUENCE[8:]
    assert part.sequence(0, 2) == SEQUENCE[4] + "A" + SEQUENCE[6:]


def test_a_contig_in_several_pieces_is_refused(store, tmp_path):
    genome = GenomeBases.of(store("g", {"c:1-4": "ACGT", "c:9-12": "CCGT"}))
    with pytest.raises(InputError, match="2 pieces of contig c"):
        ReferenceContig(genome, "c")


def test_a_file_without_any_record_of_the_contig_is_refused(make_panel):
    with pytest.raises(InputError, match="has no record of c; correct the panel's"):
        make_panel(SEQUENCE, [])


def test_far_neighbours_and_many_blocks_are_read_back(tmp_path):
    random = np.random.default_rng(3)
    variants, haplotypes = 3 * BLOCK_VARIANTS + 100, 5
    carriers = [
        random.random(haplotypes) < share for share in random.choice([0, 0.01, 0.6], variants)
    ]
    carriers[0] = np.array([True, False, False, False, True])
    carriers[-1] = np.array([True, False, True, False, False])
    with StoreWriter(tmp_path, haplotypes) as writer:
        for number, carried in enumerate(carriers):
            writer.add(2 * number, 1, to_codes("G"), np.flatnonzero(carried))
    store = object.__new__(HaplotypeStore)
    names = ("variants", "alternatives", "blocks", "runs", "carried")
    store.arrays = tuple(np.load(tmp_path / f"{name}.npy") for name in names)
    reference = np.zeros(2 * variants, dtype=np.uint8)
    everyone = np.arange(haplotypes)
    codes, _ = store.read(reference, 0, everyone, np.zeros_like(everyone), len(reference))
    expected = np.where(np.array(carriers).T, to_codes("G")[0], 0)
    assert (codes[:, ::2] == expected).all()
    assert (codes[:, 1::2] == 0).all()
    assert sum(map(np.sum, carriers)) == writer.alleles
    start = np.full(haplotypes, 2 * BLOCK_VARIANTS + 7)
    late, _ = store.read(reference, 0, everyone, start, 5000)
    assert (late == codes[:, start[0] : start[0] + 5000]).all()


BAD = {
    "ploidy": ([(2, "C", "A", ".", "0|1|1")], {}, r"c:2, sample s0: .*0\|1\|1 has 3 alleles"),
    "no such allele": ([(2, "C", "A", ".", "0|2")], {}, r"c:2, sample s0: .*0\|2 names an allele"),
    "unphased": ([(2, "C", "A", ".", "0/1")], {"unphased": "refuse"}, "s0: .* is not phased"),
    "another assembly": ([(2, "G", "A", ".", "0|1")], {}, "REF differs .* in 1 of 1 records"),
    "no such sample": ([(2, "C", "A", ".", "0|1")], {"samples": ["x"]}, "no sample x among its 1"),
}


@pytest.mark.parametrize(("records", "options", "sentence"), BAD.values(), ids=BAD)
def test_bad_genotypes_end_in_a_sentence_and_no_store(
    make_panel, tmp_path, records, options, sentence
):
    with pytest.raises(InputError, match=sentence):
        make_panel(SEQUENCE, records, **options)
    assert not list(tmp_path.glob("panel-*/*store*"))


def test_unphased_homozygotes_pass_where_phase_is_demanded(make_panel):
    panel = make_panel(SEQUENCE, [(2, "C", "A", ".", "1/1")], unphased="refuse")
    assert panel.sequence(0, 2) == "AA" + SEQUENCE[2:]


def test_some_samples_can_be_chosen(make_panel):
    records = [(2, "C", "A", ".", "0|0", "1|0", "0|1"), (4, "T", "A", ".", "1|1", "0|0", "0|0")]
    panel = make_panel(SEQUENCE, records, samples=["s2", "s1"])
    assert panel.haplotypes.samples == ["s1", "s2"]
    assert panel.sequence(0, 1) == panel.sequence(1, 2) == "AA" + SEQUENCE[2:]
    assert panel.haplotypes.manifest["variants"] == 1


@pytest.fixture
def real_panel(data_folder, tmp_path, make_panel):
    """The 300 real samples on one megabase of chromosome 20, and its FASTA file."""
    folder = data_folder / "human_grch37_chr20_1-2Mb"
    fasta = tmp_path / "chr20.fa"
    fasta.write_bytes(gzip.decompress((folder / "20_1000001-2000000.fa.gz").read_bytes()))
    variants = folder / "1000G_phase3.300_samples.20_1-4Mb.phased.vcf.gz"
    return make_panel(fasta, variants), fasta


def compare(panel, fasta, bcftools, samples: slice) -> int:
    """Compare whole haplotypes with bcftools' and return how many there were."""
    chosen = list(enumerate(panel.haplotypes.samples))[samples]
    for number, name in chosen:
        for haplotype in (1, 2):
            truth = bcftools(fasta, panel.variants, name, haplotype)
            assert panel.sequence(number, haplotype) == truth, (name, haplotype)
    return 2 * len(chosen)


def test_real_haplotypes_are_those_of_bcftools(real_panel, bcftools):
    panel, fasta = real_panel
    assert len(panel.haplotypes.samples) == 300
    assert compare(panel, fasta, bcftools, slice(None, None, 10)) == 60
    # As the data's own README says of bcftools consensus.
    number = panel.haplotypes.samples.index("HG00096")
    assert [len(panel.sequence(number, haplotype)) for haplotype in (1, 2)] == [999_959, 999_955]


@pytest.mark.slow
def test_all_600_real_haplotypes_are_those_of_bcftools(real_panel, bcftools):
    assert compare(*real_panel, bcftools, slice(None)) == 600


def test_a_real_store_takes_less_than_one_and_a_half_bytes_per_allele(real_panel):
    manifest = real_panel[0].haplotypes.manifest
    assert manifest["alleles"] > 300_000
    assert manifest["store_bytes"] < 1.5 * manifest["alleles"]
