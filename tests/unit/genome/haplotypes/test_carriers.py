"""Who carries a variant, and windows around a base of a haplotype, against bcftools."""

import numpy as np
import pytest

from dnalm.genome.haplotypes.carriers import count_carriers, find_carriers, list_variants
from dnalm.genome.haplotypes.centred import read_around
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.haplotypes.store import BLOCK_VARIANTS, StoreWriter
from dnalm.genome.kmers import to_codes, to_sequence


def test_carriers_of_many_blocks_are_those_that_were_written(tmp_path):
    random = np.random.default_rng(5)
    variants, haplotypes = 2 * BLOCK_VARIANTS + 50, 6
    shares = random.choice([0, 0.01, 0.6], variants)  # far neighbours and near ones
    truth = random.random((variants, haplotypes)) < shares[:, None]
    with StoreWriter(tmp_path, haplotypes) as writer:
        for number, carried in enumerate(truth):
            writer.add(3 * number, 1, to_codes("G"), np.flatnonzero(carried))
    store = object.__new__(HaplotypeStore)
    names = ("variants", "alternatives", "blocks", "runs", "carried")
    store.arrays = tuple(np.load(tmp_path / f"{name}.npy") for name in names)
    assert (count_carriers(store) == truth.sum(1)).all()
    some = np.array([0, 1, BLOCK_VARIANTS - 1, BLOCK_VARIANTS, 2 * BLOCK_VARIANTS + 49])
    for variant, own in zip(some, find_carriers(store, some), strict=True):
        assert own.tolist() == np.flatnonzero(truth[variant]).tolist()
    first, last = BLOCK_VARIANTS - 100, BLOCK_VARIANTS + 200
    for haplotype in range(haplotypes):
        expected = [v for v in range(first, last + 1) if truth[v, haplotype]]
        assert list_variants(store, haplotype, 3 * first, 3 * last).tolist() == expected


def list_records(random, text):
    """Return (position, REF, ALT) of SNPs, insertions and deletions that are apart."""
    records, at = [], 3
    while at < len(text) - 12:
        length = int(random.choice([1, 1, 1, 4, 9]))
        reference = text[at : at + length]
        others = [letter for letter in "ACGT" if letter != reference[0]]
        insertion = reference + "".join(random.choice(list("ACGT"), int(random.integers(1, 6))))
        alternative = random.choice([others[0], insertion]) if length == 1 else reference[0]
        records.append((at + 1, reference, str(alternative)))
        at += length + int(random.integers(1, 8))
    return records


@pytest.mark.parametrize("seed", range(12))
def test_a_window_around_a_base_is_cut_from_the_haplotype_of_bcftools(
    make_panel, bcftools, sequence, seed
):
    random = np.random.default_rng(seed)
    text = sequence(seed, 260)
    drawn = list_records(random, text)
    genotypes = [f"{a}|{b}" for a, b in random.integers(0, 2, (len(drawn), 2)).tolist()]
    records = [(*record, ".", own) for record, own in zip(drawn, genotypes, strict=True)]
    panel = make_panel(text, records)
    codes, first = panel.reference
    found = beyond = 0
    for side in (1, 2):
        whole = bcftools(text, records, 0, side)
        carried = [record for record, own in zip(drawn, genotypes, strict=True)
                   if own.split("|")[side - 1] == "1"]  # fmt: skip
        for position in range(len(text)):
            # Of a base that a deletion takes there is no window.
            if any(p <= position < p - 1 + len(ref) for p, ref, _ in carried):
                continue
            place = position + sum(
                len(alt) - len(ref) for p, ref, alt in carried if p - 1 + len(ref) <= position
            )
            for left, length in ((10, 21), (40, 64)):
                window = read_around(
                    panel.haplotypes, codes, first, side - 1, position, left, length
                )
                start = place - left
                if start < 0 or start + length > len(whole):
                    assert window is None
                    beyond += 1
                else:
                    assert to_sequence(window) == whole[start : start + length]
                    found += 1
    assert found > 300
    assert beyond


def test_haplotypes_of_haploid_samples_and_places_are_counted_once(make_panel):
    records = [
        (2, "C", "A", ".", "0", "0|1", "0|0"),
        (9, "T", "A", ".", "1", "1", "0|1"),
        (15, "A", "C", ".", "0", "0|1", "0|0"),
    ]
    store = make_panel("ACGTACGTTTGGCCAATCGAGA", records).haplotypes
    assert store.list_haplotypes(1).tolist() == [0, 2, 3, 4, 5]
    assert store.list_haplotypes(8).tolist() == [0, 2, 4, 5]
    positions = np.array([1, 8, 14])
    assert store.count_haplotypes(positions).tolist() == [
        len(store.list_haplotypes(position)) for position in positions.tolist()
    ]
