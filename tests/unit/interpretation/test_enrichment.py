"""Enrichment of attention on an element: worked numbers, planted signals and nothing."""

import numpy as np
import pytest
from scipy.stats import norm

from dnalm.interpretation.enrichment import ALPHA, Enrichment, two_proportions

# Four tokens, the middle two of the element.
WEIGHTS = np.array([[0.5, 0.4, 0.1, 0], [0.05, 0.05, 0.8, 0.1], [0.25] * 4, [0.31, 0.29, 0.2, 0.2]])
ELEMENT = np.array([False, True, True, False])


@pytest.mark.parametrize(
    ("threshold", "above", "sender", "receiver"),
    [(0.3, 4, 0.25, 0.50), (0.25, 5, 0.20, 0.60), (0.01, 15, 0.5333, 0.5333)],
)
def test_shares_are_those_worked_out_by_hand(threshold, above, sender, receiver):
    pairs = threshold < WEIGHTS
    for axis, share in ((0, receiver), (1, sender)):
        enrichment = Enrichment(layers=1, heads=1, shifts=0, seed=0)
        enrichment.add(pairs.sum(axis)[None, None], ELEMENT)
        assert enrichment.above.item() == above
        assert enrichment.pooled().item() == pytest.approx(share, abs=5e-5)
        assert enrichment.mean_of_ratios().item() == pytest.approx(share, abs=5e-5)


def test_the_two_proportion_test_is_the_worked_one():
    z, p_value = two_proportions(np.array(1500.0), np.array(10_000.0), 1200, 10_000)
    assert z == pytest.approx(6.207709, abs=1e-6)
    assert p_value == pytest.approx(2.688e-10, rel=1e-3)
    assert p_value == pytest.approx(norm.sf(z))


def test_ratios_are_of_sequences_and_pooled_shares_of_pairs():
    """One sequence with few pairs, all in the element; one with many, none in it."""
    enrichment = Enrichment(layers=1, heads=1, shifts=0, seed=0)
    element = np.array([True, False, False])
    enrichment.add(np.array([[[2, 0, 0]]]), element)
    enrichment.add(np.array([[[0, 5, 3]]]), element)
    assert enrichment.mean_of_ratios().item() == 0.5
    assert enrichment.pooled().item() == 0.2
    assert enrichment.effect().item() == pytest.approx(np.log2(0.2 / (1 / 3)))


def test_hits_of_a_shift_are_those_of_the_mask_that_was_rolled():
    random = np.random.default_rng(3)
    counts, element = random.integers(0, 9, (2, 3, 40)), random.random(40) < 0.2
    enrichment = Enrichment(layers=2, heads=3, shifts=25, seed=7)
    enrichment.add(counts, element)
    drawn = np.random.default_rng([7, 0]).integers(1, 40, size=25)
    rolled = [(counts * np.roll(element, shift)).sum(-1) for shift in drawn]
    np.testing.assert_array_equal(enrichment.null, rolled)


def plant(seed, share, sequences=20, tokens=200):
    """Attention in runs, as real attention lies; a share of the pairs goes to the element."""
    random = np.random.default_rng(seed)
    enrichment = Enrichment(layers=1, heads=1, shifts=200, seed=seed)
    for _ in range(sequences):
        element = np.zeros(tokens, dtype=bool)
        start = random.integers(0, tokens - 20)
        element[start : start + 20] = True
        counts = np.zeros(tokens, dtype=np.int64)
        centre = random.integers(0, tokens - 10)
        counts[centre : centre + 10] = 30  # one run of much attention anywhere
        counts[element] += random.random(20) < share
        enrichment.add(counts[None, None], element)
    return enrichment


def test_planted_attention_is_found_by_the_shifts():
    random = np.random.default_rng(0)
    enrichment = Enrichment(layers=1, heads=1, shifts=999, seed=0)
    for _ in range(10):
        element = np.roll(np.arange(200) < 20, random.integers(200))
        enrichment.add((element * 3 + random.integers(0, 2, 200))[None, None], element)
    assert enrichment.rank_among_shifts().item() == 1 / 1000
    z, p_value = enrichment.test_shifts()
    assert z.item() > 5
    assert p_value.item() == pytest.approx(norm.sf(z.item()))
    assert enrichment.effect().item() > 1


def test_without_a_signal_the_shifts_find_chance_and_the_z_test_far_more():
    """Of 100 seeds at most 11 below 0.05; the pairs of a run are not independent."""
    runs = [plant(seed, share=0.0) for seed in range(100)]
    honest = sum(run.test_shifts()[1].item() < ALPHA for run in runs)
    ranked = sum(run.rank_among_shifts().item() < ALPHA for run in runs)
    paper = sum(run.test_paper()[1].item() < ALPHA for run in runs)
    assert honest <= 11
    assert ranked <= 11
    assert paper > 25
