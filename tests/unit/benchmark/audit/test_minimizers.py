"""Minimizers of sequences, against a slow definition of them."""

import numpy as np
import pytest

from dnalm.benchmark.audit.minimizers import Sequences, _mix, find_minimizers

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def draw(generator, length, letters="ACGT"):
    return "".join(generator.choice(list(letters), length))


def reverse(sequence):
    return sequence.translate(COMPLEMENT)[::-1]


def as_number(kmer):
    return int("".join(f"{'ATCG'.index(letter):02b}" for letter in kmer), 2)


def winnow(sequence, k, window):
    """Return {place: least k-mer of both strands} of the definition, written as it reads."""
    hashes = {}
    for place in range(len(sequence) - k + 1):
        kmer = sequence[place : place + k]
        least = min(as_number(kmer), as_number(reverse(kmer))) if "N" not in kmer else None
        hashes[place] = (2**64 if least is None else int(_mix(np.uint64(least))), least)
    kept = {}
    size = min(window, len(hashes))
    for first in range(len(hashes) - size + 1 if size else 0):
        own = {place: hashes[place] for place in range(first, first + size)}
        smallest = min(value for value, _ in own.values())
        kept |= {
            place: least
            for place, (value, least) in own.items()
            if value == smallest and least is not None
        }
    return kept


@pytest.mark.parametrize(("k", "window"), [(7, 1), (7, 4), (9, 16), (31, 5)])
def test_minimizers_are_the_least_hashes_of_every_window(k, window):
    generator = np.random.default_rng(k * window)
    sequences = [draw(generator, n, "AACGTN") for n in (200, 90, 31, k, k - 1, 0, 400)]
    sequences += ["A" * 60, "ACGT" * 20, "N" * 40]
    minimizers = find_minimizers(Sequences.of(sequences), k, window)
    for row, sequence in enumerate(sequences):
        own = minimizers.rows == row
        found = dict(
            zip(minimizers.positions[own].tolist(), minimizers.kmers[own].tolist(), strict=True)
        )
        assert found == winnow(sequence, k, window)


def test_both_strands_of_a_sequence_have_the_same_minimizers():
    generator = np.random.default_rng(0)
    sequence = draw(generator, 500)
    minimizers = find_minimizers(Sequences.of([sequence, reverse(sequence)]), 15, 16)
    one, other = (minimizers.kmers[minimizers.rows == row] for row in (0, 1))
    assert sorted(one.tolist()) == sorted(other.tolist())
    places = [minimizers.positions[minimizers.rows == row] for row in (0, 1)]
    assert sorted(places[0].tolist()) == sorted((500 - 15 - places[1]).tolist())
    assert not (
        minimizers.flipped[minimizers.rows == 0] == minimizers.flipped[minimizers.rows == 1][::-1]
    ).any()
