"""Tandem repeats of short units, against their definition."""

import re

import numpy as np

from dnalm.benchmark.audit.minimizers import Sequences
from dnalm.benchmark.audit.tandem_repeats import find_tandem_repeats


def defined(sequence):
    """Return the places of every unit of up to six bases and twelve or more that repeat it."""
    inside = np.zeros(len(sequence), dtype=bool)
    for unit in range(1, 7):
        for start in range(len(sequence)):
            stretch = sequence[start : start + unit + 12]
            repeated = (stretch[:unit] * 13)[: unit + 12]
            if stretch == repeated and not re.search("N", stretch):
                inside[start : start + unit + 12] = True
    return inside


def test_tandem_repeats_are_those_of_the_definition():
    generator = np.random.default_rng(0)
    sequences = ["", "A", "A" * 12, "A" * 13, "CA" * 7, "N" * 30, "ACGTTA" * 3]
    for _ in range(200):
        unit = "".join(generator.choice(list("ACGT"), generator.integers(1, 9)))
        parts = [
            "".join(generator.choice(list("ACGTN"), n)) for n in generator.integers(40, size=2)
        ]
        sequences.append(parts[0] + (unit * 30)[: generator.integers(40)] + parts[1])
    packed = Sequences.of(sequences)
    found = find_tandem_repeats(packed.codes, packed.starts)
    expected = np.concatenate([defined(sequence) for sequence in sequences])
    assert found.tolist() == expected.tolist()
    assert 0.1 < found.mean() < 0.6
    assert defined("A" * 13).all()
    assert not defined("A" * 12).any()


def test_random_sequences_hold_hardly_any():
    letters = np.random.default_rng(1).choice(list("ACGT"), 1_000_000)
    packed = Sequences.of(["".join(letters)])
    assert find_tandem_repeats(packed.codes, packed.starts).sum() < 100
