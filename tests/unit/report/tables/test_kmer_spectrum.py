import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from dnalm.genome.kmers import ALPHABET, count_kmers, to_codes
from dnalm.report.tables.kmer_spectrum import histogram_of, most_frequent, spectrum_of


def table(k, planted=None, rest=0):
    words = ["".join(letters) for letters in product(ALPHABET, repeat=k)]
    counts = [(planted or {}).get(word, rest) for word in words]
    return pd.DataFrame({"kmer": words, "count": counts})


def test_the_entropy_of_two_equally_frequent_kmers_is_one_bit():
    spectrum = spectrum_of(table(6, {"AAAAAA": 50, "CCCCCC": 50}))
    assert spectrum.entropy == pytest.approx(math.log(2))
    assert spectrum.most == pytest.approx(math.log(4096))
    assert (spectrum.distinct, spectrum.possible, spectrum.total) == (2, 4096, 100)


def test_equal_frequencies_have_the_highest_entropy_and_others_that_of_scipy():
    assert spectrum_of(table(3, rest=7)).entropy == pytest.approx(3 * math.log(4))
    uneven = table(3, {"AAA": 100, "TTT": 30, "CGC": 1}, rest=2)
    assert spectrum_of(uneven).entropy == pytest.approx(entropy(uneven["count"]))


def test_gc_counts_the_letters_of_every_kmer():
    # 30 of 4/6, 10 of 0/6 and 10 of 6/6: (20 + 10) / 50.
    spectrum = spectrum_of(table(6, {"ACGTGC": 30, "ATATAT": 10, "GGGCCC": 10}))
    assert spectrum.gc == pytest.approx(0.6)
    assert spectrum.cpg == pytest.approx(0.6)
    assert spectrum_of(table(4, rest=3)).gc == pytest.approx(0.5)


def test_cg_is_expected_as_often_as_the_frequencies_of_c_and_g_say():
    assert spectrum_of(table(4, rest=3)).cpg_ratio == pytest.approx(1)
    # C and G are half of the letters each, so CG is expected at 1 of 4 pairs; it is all of them.
    assert spectrum_of(table(2, {"CG": 9})).cpg_ratio == pytest.approx(4)
    assert spectrum_of(table(2, {"CC": 9, "GG": 9})).cpg_ratio == 0
    assert math.isnan(spectrum_of(table(2, {"AA": 9})).cpg_ratio)


def test_the_gc_and_cpg_of_a_sequence_follow_from_its_kmer_counts():
    letters = np.random.default_rng(3).choice(list("ACGT"), 60_000, p=[0.3, 0.15, 0.25, 0.3])
    sequence = "".join(letters).replace("CG", "TG")
    counts = count_kmers(to_codes(sequence), 6)
    kmers = table(6).assign(count=counts)
    spectrum = spectrum_of(kmers)
    share = sum(map(sequence.count, "GC")) / len(sequence)
    assert spectrum.gc == pytest.approx(share, abs=1e-4)
    assert (spectrum.cpg, spectrum.cpg_ratio) == (0, 0)


def test_single_bases_have_no_cpg_and_an_empty_table_no_entropy():
    assert math.isnan(spectrum_of(table(1, rest=5)).cpg)
    empty = spectrum_of(table(3))
    assert (empty.total, empty.distinct) == (0, 0)
    assert math.isnan(empty.entropy)


def test_the_histogram_holds_every_kmer_that_occurs_once_in_the_step_of_its_count():
    kmers = table(3, {"AAA": 1000, "TTT": 1000, "ACG": 1000, "CCC": 1, "TTA": 31})
    steps = histogram_of(kmers)
    assert steps["kmers"].sum() == 5
    for row in steps.to_dict("records"):
        counts = kmers.loc[kmers["count"].between(row["low"], row["high"], "left")]
        own = counts[counts["kmer"].str.contains("CG") == row["cpg"]]
        assert len(own) == row["kmers"]
    thousand = steps[steps["low"].between(500, 1000)]
    assert thousand[["cpg", "bottom", "top"]].to_numpy().tolist() == [[False, 0, 2], [True, 2, 3]]


def test_the_most_frequent_kmers_come_with_their_multiple_of_the_mean():
    # 64 k-mers, 640 in all: the mean is 10.
    planted = {"AAA": 200, "TTT": 110, "GGG": 40}
    top = most_frequent(table(3, planted | {"CCC": 290}), 3)
    assert top["kmer"].tolist() == ["CCC", "AAA", "TTT"]
    assert top["times"].tolist() == pytest.approx([29, 20, 11])
    assert top["share"].tolist() == pytest.approx([290 / 640, 200 / 640, 110 / 640])
