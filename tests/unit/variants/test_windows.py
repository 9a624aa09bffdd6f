"""Windows around variants: ids in all frames, both alleles from one start, ends of contigs."""

import numpy as np
import pytest

from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, encode, to_sequence
from dnalm.variants.alleles import Allele
from dnalm.variants.windows import WindowConfig, Windows, choose_bases

V1 = Vocabulary(6, "v1")
# GRCh37 20:1500175 A>C, rs2422596: the letters around it, and the ids of its token in frame 0 … 5.
AROUND = "GAAAAATTTTA"
IDS = [(344, 2392), (89, 601), (25, 153), (9, 41), (5, 13), (3076, 3078)]


def config(**changes) -> WindowConfig:
    defaults = {"bases": 5994, "k": 6, "frames": 1, "strands": "forward", "shared_bases": 1}
    return WindowConfig(**({**defaults, "max_n": 0, "max_tokens": 1000} | changes))


@pytest.fixture
def windows(store):
    """Return a function that stores contigs and returns what makes windows on them."""

    def make(contigs, **changes):
        genome = GenomeBases.of(store("g", contigs))
        return Windows(genome, V1, config(**changes))

    return make


def tokens_of(pair) -> tuple[np.ndarray, np.ndarray]:
    return encode(pair.reference, V1), encode(pair.alternative, V1)


def changed_ids(pair) -> tuple[int, tuple[int, int]]:
    """Return where the tokens of a pair of windows differ, without <cls>, and the two ids."""
    one, other = tokens_of(pair)
    (at,) = np.flatnonzero(one != other)
    return int(at) - 1, (int(one[at]), int(other[at]))


def check_snp(make, contigs, allele):
    found = [changed_ids(pair) for pair in make(contigs, frames=6).make(allele)]
    assert found == [(499, ids) for ids in IDS]
    (both,) = [list(make(contigs, strands="both").make(allele))]
    assert [changed_ids(pair) for pair in both] == [(499, (9, 41)), (499, (89, 217))]
    (authors,) = make(contigs, bases=6000, max_tokens=1001).make(allele)
    assert changed_ids(authors) == (500, (344, 2392))
    return found


def test_a_snp_has_the_ids_of_the_worked_example_in_all_six_frames(windows, sequence):
    at = 4000
    left, right = sequence(1, at - 5), sequence(2, 4000)
    contigs = {"20": left + AROUND + right}
    allele = Allele(contig="20", start=at, reference="A", alternative="C")
    assert contigs["20"][at] == "A"
    check_snp(windows, contigs, allele)


def test_the_real_snp_has_the_ids_of_the_worked_example(windows, data_folder):
    contigs = data_folder / "human_grch37_chr20_1-2Mb/20_1000001-2000000.fa.gz"
    allele = Allele(contig="20", start=1500174, reference="A", alternative="C")
    check_snp(windows, contigs, allele)
    made = list(windows(contigs, frames=6).make(allele))
    assert [pair.place[1] + 1 for pair in made] == list(range(1497181, 1497175, -1))


@pytest.mark.parametrize(
    ("reference", "alternative"),
    [(1, "A"), (1, "C"), (3, "TGA"), (1, "ACGTACG"), (5, "G"), (12, "TT")],
)
@pytest.mark.parametrize("frames", [1, 6])
def test_both_windows_begin_at_one_base_and_hold_one_allele_each(
    windows, sequence, reference, alternative, frames
):
    contig = sequence(3, 400)
    make = windows({"c": contig}, bases=60, frames=frames)
    for start in (0, 1, 4, 29, 30, 200, 371, 385, 399 - reference):
        allele = Allele(
            contig="c",
            start=start,
            reference=contig[start : start + reference],
            alternative=alternative,
        )
        edited = contig[:start] + alternative + contig[start + reference :]
        pairs = list(make.make(allele))
        assert len(pairs) == frames
        for pair in pairs:
            _, first, bases, _ = pair.place
            assert bases == 60
            assert first <= start < first + bases
            assert to_sequence(pair.reference) == contig[first : first + bases]
            assert to_sequence(pair.alternative) == edited[first : first + bases]


def test_at_the_ends_of_a_contig_windows_shift_by_whole_tokens_so_that_frames_stay(
    windows, sequence
):
    contig = sequence(4, 400)
    make = windows({"c": contig}, bases=60, frames=6)
    for start in (5, 20, 150, 380, 394):
        other = "A" if contig[start] != "A" else "C"
        allele = Allele(contig="c", start=start, reference=contig[start], alternative=other)
        frames = [(start - pair.place[1]) % 6 for pair in make.make(allele)]
        assert frames == list(range(6)), start


def test_a_contig_shorter_than_the_window_is_read_whole(windows, sequence):
    contig = sequence(5, 47)
    allele = Allele(contig="c", start=20, reference=contig[20], alternative="N")
    (pair,) = windows({"c": contig}, bases=60).make(allele)
    assert to_sequence(pair.reference) == contig


@pytest.mark.parametrize(
    ("start", "length", "alternative", "reason"),
    [
        (100, 1, "G", None),
        (100, 1, "G", "ref_mismatch"),
        (399, 2, "G", "outside_contig"),
        (500, 1, "G", "outside_contig"),
        (100, 1, "A" * 60, "too_long"),
        (100, 45, "A", "too_long"),
        (320, 1, "G", "n_in_window"),
    ],
)
def test_why_an_allele_is_not_read(windows, sequence, start, length, alternative, reason):
    contig = sequence(6, 100) + "A" + sequence(7, 219) + "T" + sequence(8, 19) + "N"
    contig += sequence(9, 400 - len(contig))
    make = windows({"c": contig}, bases=60)
    reference = contig[start : start + length].ljust(length, "A")
    if reason == "ref_mismatch":
        reference = "C"
    allele = Allele(contig="c", start=start, reference=reference, alternative=alternative)
    assert (make.find_mismatch(allele) or make.find_unreadable(allele)) == reason
    other = Allele(contig="d", start=start, reference=reference, alternative=alternative)
    assert make.find_mismatch(other) == "contig_missing"


def test_so_many_n_are_read_as_are_allowed_if_their_tokens_fit(windows, sequence):
    contig = sequence(8, 190) + "NNN" + "A" + sequence(9, 206)
    allele = Allele(contig="c", start=193, reference="A", alternative="C")
    assert windows({"c": contig}, bases=60, max_n=3).find_unreadable(allele) is None
    few = windows({"c": contig}, bases=60, max_n=3, max_tokens=13)
    assert few.find_unreadable(allele) == "too_many_tokens"


def test_neighbours_share_a_window_whoever_they_are_where_that_is_asked_for(windows, sequence):
    contig = sequence(10, 400)
    make = windows({"c": contig}, bases=60, shared_bases=8)
    places = [
        next(
            make.make(Allele(contig="c", start=start, reference=contig[start], alternative="A"))
        ).place[1]
        for start in range(160, 176)
    ]
    assert places == [164 - 30] * 8 + [172 - 30] * 8


def test_auto_is_what_the_model_reads_but_no_more_than_the_paper():
    assert choose_bases("auto", 6, 1000) == 5994
    assert choose_bases("auto", 6, 2048) == 12000
    assert choose_bases(600, 6, 1000) == 600
