"""Near duplicates and overlaps: planted ones, windows with known places, and brute force."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.audit.near_duplicates import (
    TEST_SIDE,
    NearDuplicateConfig,
    find_near_duplicates,
)

SCRIPTS = Path(__file__).parents[4] / "scripts"
CONFIG = NearDuplicateConfig(
    k=15, window=16, most_places=500, min_identity=0.9, min_overlap=50, near_share=0.9
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")
LETTERS = np.array(list("ACGT"))


def draw(generator, length):
    return "".join(LETTERS[generator.integers(4, size=length)])


def reverse(sequence):
    return sequence.translate(COMPLEMENT)[::-1]


def mutate(generator, sequence, rate):
    """Return the sequence with this share of its bases, to the nearest base, replaced by others."""
    places = generator.permutation(len(sequence))[: round(rate * len(sequence))]
    letters = list(sequence)
    for place in places:
        others = [letter for letter in "ACGT" if letter != letters[place]]
        letters[place] = others[generator.integers(3)]
    return "".join(letters)


def pairs_of(sequences, config=CONFIG):
    table = find_near_duplicates(sequences, np.zeros(len(sequences)), config).pairs
    return {(row.first, row.second): row for row in table.itertuples()}


def canonical_kmers(sequence, k):
    kmers = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return {min(kmer, reverse(kmer)) for kmer in kmers}


def test_random_sequences_are_not_related():
    generator = np.random.default_rng(0)
    assert not pairs_of([draw(generator, 1000) for _ in range(2000)])


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 100, 250, 400, 450, 451, 480])
def test_shifted_windows_of_one_place_are_found_with_their_overlap(shift, flipped):
    generator = np.random.default_rng(shift)
    places = [draw(generator, 500 + shift) for _ in range(50)]
    others = [place[shift:] for place in places]
    sequences = [place[:500] for place in places]
    sequences += [reverse(other) if flipped else other for other in others]
    found = pairs_of(sequences)
    if 500 - shift < CONFIG.min_overlap:
        assert not found
        return
    assert set(found) == {(i, i + 50) for i in range(50)}
    assert {row.overlap for row in found.values()} == {500 - shift}
    assert {row.identity for row in found.values()} == {1.0}
    assert {row.flipped for row in found.values()} == {flipped}


@pytest.mark.parametrize(("rate", "recall"), [(0.01, 1.0), (0.05, 0.99), (0.09, 0.9)])
def test_mutated_copies_are_found_on_both_strands_with_their_identity(rate, recall):
    generator = np.random.default_rng(int(1000 * rate))
    originals = [draw(generator, 300) for _ in range(200)]
    copies = [mutate(generator, original, rate) for original in originals]
    copies = [reverse(copy) if i % 2 else copy for i, copy in enumerate(copies)]
    found = pairs_of(originals + copies)
    assert set(found) <= {(i, i + 200) for i in range(200)}
    assert len(found) >= recall * 200
    for (first, _), row in found.items():
        assert row.identity == pytest.approx(1 - round(rate * 300) / 300, abs=1e-6)
        assert (row.overlap, row.flipped) == (300, bool(first % 2))


def test_copies_below_the_identity_do_not_count():
    generator = np.random.default_rng(1)
    originals = [draw(generator, 300) for _ in range(100)]
    assert not pairs_of([*originals, *(mutate(generator, s, 0.11) for s in originals)])


@pytest.mark.parametrize("gap", [-10, -3, -1, 1, 4, 10])
def test_an_insertion_or_deletion_is_followed(gap):
    generator = np.random.default_rng(abs(gap))
    place = draw(generator, 600)
    inserted = draw(generator, max(gap, 0))
    other = place[50:300] + inserted + place[300 + max(-gap, 0) :]
    ((_, row),) = pairs_of([place[:550], reverse(other)]).items()
    assert row.flipped
    assert row.overlap == pytest.approx(500 + max(gap, 0), abs=2)
    assert row.identity == pytest.approx(1 - abs(gap) / row.overlap, abs=0.01)


def test_a_repeat_between_other_flanks_does_not_count_but_whole_copies_of_it_do():
    generator = np.random.default_rng(2)
    repeat = draw(generator, 300)
    inside = [draw(generator, 100) + repeat + draw(generator, 100) for _ in range(20)]
    assert not pairs_of(inside)
    assert set(pairs_of([repeat, *inside])) == {(0, i) for i in range(1, 21)}


def test_where_all_is_repeats_so_many_places_are_followed_of_each():
    sequences = [draw(np.random.default_rng(3), 300)] * 30
    found = find_near_duplicates(sequences, np.zeros(30), replace(CONFIG, most_places=5))
    assert found.repeats == found.seeds > 10
    assert set(found.pairs["first"]) | set(found.pairs["second"]) == set(range(30))
    assert 30 / 2 <= len(found.pairs) <= 30 * 5
    found = find_near_duplicates(sequences, np.zeros(30), replace(CONFIG, most_places=30))
    assert (len(found.pairs), found.repeats) == (30 * 29 / 2, 0)


def deletion(generator, sequence, length):
    place = int(generator.integers(len(sequence) // 8, len(sequence) * 7 // 8))
    return sequence[:place] + sequence[place + length :]


@pytest.mark.parametrize("change", ["substitutions", "deletions"])
def test_every_row_of_a_large_family_finds_a_near_duplicate_on_every_side(change):
    generator = np.random.default_rng(8)
    element = draw(generator, 400)
    family = [mutate(generator, element, 3 / 400) for _ in range(900)]
    if change == "deletions":
        family = [deletion(generator, variant, 3) for variant in family]
    # One side is large, one small, one holds a single row, and the rest are test rows.
    sides = np.repeat([0, 1, 2, TEST_SIDE], [600, 100, 1, 199])
    order = generator.permutation(900)
    pairs = find_near_duplicates(
        [family[row] for row in order], sides[order], replace(CONFIG, most_places=100)
    ).pairs
    one, two = order[pairs["first"]], order[pairs["second"]]
    met = pd.DataFrame({"row": np.append(one, two), "side": sides[np.append(two, one)]})
    training = met[met["side"] != TEST_SIDE]
    for side in np.unique(sides):
        rows = set(np.flatnonzero(sides == side))
        assert rows <= set(training.loc[sides[training["row"]] == side, "row"])
        assert rows <= set(training.loc[training["side"] != side, "row"])
        if side != 2:
            assert rows <= set(met.loc[met["side"] == side, "row"])


def test_variants_and_shifted_windows_all_find_a_relative_though_their_seeds_are_repeats():
    generator = np.random.default_rng(7)
    element, genome = draw(generator, 120), draw(generator, 1700)
    variants = [mutate(generator, element, 2 / 120) for _ in range(800)]
    tiles = [genome[start : start + 700] for start in range(800)]
    for sequences in (variants, [reverse(t) if i % 2 else t for i, t in enumerate(tiles)]):
        pairs = pairs_of(sequences, replace(CONFIG, most_places=200))
        assert len(np.unique(list(pairs))) == 800


def test_training_rows_find_those_of_every_other_fold_where_there_are_no_test_rows():
    generator = np.random.default_rng(10)
    element = draw(generator, 300)
    family = [mutate(generator, element, 2 / 300) for _ in range(200)]
    sides = np.append(np.zeros(195), np.ones(5))
    pairs = find_near_duplicates(family, sides, replace(CONFIG, most_places=20)).pairs
    one, two = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    other = sides[one] != sides[two]
    assert set(one[other]) | set(two[other]) == set(range(200))


def test_the_log_says_how_many_sequences_are_compared_by_what(caplog):
    with caplog.at_level("INFO", logger="dnalm.jobs.progress"):
        pairs_of([draw(np.random.default_rng(9), 300)] * 30)
    ends = [message for message in caplog.messages if " in " in message]
    assert [message.partition(" in ")[0] for message in ends] == [
        "compare by seeds: 30 sequences",
        "compare by repeats: 30 sequences",
    ]


def test_short_and_unknown_sequences_are_compared_as_far_as_they_go():
    generator = np.random.default_rng(4)
    short = draw(generator, 40)
    sequences = ["", "ACG", "N" * 100, "N" * 100, short, draw(generator, 30) + short]
    assert set(pairs_of(sequences)) == {(4, 5)}


def test_pairs_are_those_of_a_brute_force_jaccard_of_all_kmers():
    generator = np.random.default_rng(5)
    # Windows at random places of short genomes: overlaps of any length, on either strand.
    sequences = []
    for _ in range(6):
        genome = draw(generator, 4000)
        starts = generator.integers(0, 3700, size=40)
        windows = [genome[start : start + 300] for start in starts]
        sequences += [reverse(w) if generator.random() < 0.5 else w for w in windows]
    kmers = [canonical_kmers(sequence, 15) for sequence in sequences]
    least = (50 - 14) / (2 * 286 - 36)  # the Jaccard index of an overlap of 50 bases
    expected = {}
    for i, j in itertools.combinations(range(len(sequences)), 2):
        shared = len(kmers[i] & kmers[j])
        if shared and shared / len(kmers[i] | kmers[j]) >= least - 1e-9:
            expected[i, j] = shared + 14
    assert len(expected) > 300
    assert {pair: row.overlap for pair, row in pairs_of(sequences).items()} == expected


def best_by_brute_force(one, two):
    """Return (columns without N, equal ones) of the best diagonal that agrees; None for none."""
    shorter = min(len(text.replace("N", "")) for text in (one, two))
    least, best = min(50, np.ceil(0.9 * shorter)), None
    first = np.array(list(one))
    for text in (two, reverse(two)):
        second = np.array(list(text))
        # Of all diagonals at once, each column counted: `full` slides one along all of the other.
        columns = np.correlate(1.0 * (second != "N"), 1.0 * (first != "N"), "full")
        equal = sum(np.correlate(1.0 * (second == b), 1.0 * (first == b), "full") for b in "ACGT")
        agree = (columns >= least) & (equal >= 0.9 * columns - 1e-9)
        place = int(np.argmax(np.where(agree, equal, 0)))
        if agree[place] and equal[place] > (best or (0, 0))[1]:
            best = int(columns[place]), int(equal[place])
    return best


def share_known_bases(one, two, number):
    stretches = {one[i : i + number] for i in range(len(one) - number + 1)}
    others = {two[i : i + number] for i in range(len(two) - number + 1)}
    return any("N" not in text for text in stretches & (others | {reverse(o) for o in others}))


@pytest.mark.parametrize("seed", range(4))
def test_columns_with_an_n_are_left_out_as_by_brute_force(seed):
    generator = np.random.default_rng(seed)
    place, sequences = draw(generator, 500), []
    for i in range(40):
        length = int(generator.integers(60, 200))
        start = int(generator.integers(0, 500 - length))
        sequence = mutate(generator, place[start : start + length], 0.02 * generator.random())
        gap, at = (int(number) for number in generator.integers(0, 40, size=2))
        sequence = sequence[:at] + "N" * gap + sequence[at + gap :]
        sequence = "N" * int(generator.integers(50)) + sequence + "N" * int(generator.integers(50))
        sequences.append(reverse(sequence) if i % 2 else sequence)
    found, compared = pairs_of(sequences), 0
    for first, second in itertools.combinations(range(len(sequences)), 2):
        expected = best_by_brute_force(sequences[first], sequences[second])
        row = found.get((first, second))
        if expected is None:
            assert row is None
        elif row is not None or share_known_bases(sequences[first], sequences[second], 30):
            assert (row.overlap, round(row.overlap * row.identity)) == expected
            compared += 1
    assert compared > 100


def test_pairs_of_short_sequences_are_those_of_brute_force():
    generator = np.random.default_rng(12)
    place, sequences = draw(generator, 120), []
    for i in range(80):
        length = int(generator.integers(12, 80))
        start = int(generator.integers(0, 120 - length))
        sequence = mutate(generator, place[start : start + length], 1 / length)
        sequences.append(reverse(sequence) if i % 2 else sequence)
    found, compared = pairs_of(sequences), 0
    for first, second in itertools.combinations(range(80), 2):
        expected = best_by_brute_force(sequences[first], sequences[second])
        row = found.get((first, second))
        if expected is None:
            assert row is None or row.identity < 1  # those with gaps
            continue
        # A third of the longer one, or seven bases.
        longer = max(len(sequences[first]), len(sequences[second]))
        stretch = next(k for least, k in ((45, 15), (33, 11), (0, 7)) if longer >= least)
        if row is not None or share_known_bases(sequences[first], sequences[second], stretch):
            assert (row.overlap, round(row.overlap * row.identity)) == expected
            compared += 1
    assert compared > 200


IN_ITS_OWN_PROCESS = """
import json, resource, sys
import numpy as np
from dnalm.benchmark.audit.near_duplicates import NearDuplicateConfig, find_near_duplicates

config, seed, size, number = json.loads(sys.argv[1])
generator = np.random.default_rng(seed)
genome = "".join(np.array(list("ACGT"))[generator.integers(4, size=size)])
starts = generator.integers(0, size - 1000, size=number)
windows = [genome[start : start + 1000] for start in starts]
pairs = find_near_duplicates(windows, np.arange(number) % 10, NearDuplicateConfig(**config)).pairs
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([starts.tolist(), len(pairs), peak]))
"""


@pytest.mark.slow
def test_sixty_thousand_sequences_of_a_thousand_bases_need_less_than_two_gigabytes():
    size, number = 12_000_000, 60_000
    done = subprocess.run(
        [sys.executable, "-c", IN_ITS_OWN_PROCESS, json.dumps([asdict(CONFIG), 6, size, number])],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        check=True,
    )
    starts, pairs, peak = json.loads(done.stdout)
    ordered = np.sort(starts)
    expected = np.searchsorted(ordered, ordered + 950, side="right") - np.arange(number) - 1
    assert pairs == expected.sum()
    assert peak < 2_000_000  # KiB


FAMILY = """
import json, resource, sys
import numpy as np
from dnalm.benchmark.audit.near_duplicates import NearDuplicateConfig, find_near_duplicates

config, length, deleted = json.loads(sys.argv[1])
generator, rows, letters = np.random.default_rng(1), 30_000, np.array(list("ACGT"))
element = generator.integers(4, size=length)
sequences = []
for _ in range(rows):
    variant = element.copy()
    variant[generator.integers(length, size=length // 50)] = generator.integers(4)
    place = generator.integers(100, length - 100)
    sequences.append("".join(letters[np.delete(variant, range(place, place + deleted))]))
sides = np.where(np.arange(rows) % 5, np.arange(rows) % 10, -1)
find = find_near_duplicates(sequences, sides, NearDuplicateConfig(**config))
pairs = find.pairs
beyond = pairs[(sides[pairs["first"]] == -1) != (sides[pairs["second"]] == -1)]
test_rows = np.unique(beyond[["first", "second"]])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([int((sides[test_rows] == -1).sum()), usage.ru_maxrss, usage.ru_utime]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("deleted", [0, 3])
def test_thirty_thousand_variants_of_one_sequence_need_little_time_and_memory(deleted):
    done = subprocess.run(
        [sys.executable, "-c", FAMILY, json.dumps([asdict(CONFIG), 1000, deleted])],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        check=True,
    )
    related, peak, seconds = json.loads(done.stdout)
    assert related == 6000
    assert peak < 2_500_000  # KiB
    assert seconds < 120
