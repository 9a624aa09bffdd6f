"""Medians over windows and means over genomes of what hidden tokens cost."""

import math

import numpy as np
import pytest

from dnalm.training.reconstruction import describe_genomes, describe_windows, sum_windows

NAMES = ("accuracy", "perplexity")
# Three windows of four selected tokens; the first has three masked ones, the last has none.
LOSSES = np.log([[2.0, 4.0, 8.0, 999.0], [3.0, 3.0, 3.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
HITS = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool)
WEIGHTS = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=float)


@pytest.fixture
def sums():
    return sum_windows(LOSSES, HITS, WEIGHTS)


def test_only_masked_tokens_are_summed(sums):
    assert sums[:, 0] == pytest.approx([math.log(64), math.log(81), 0])
    assert sums[:, 1:].tolist() == [[1, 3], [3, 4], [0, 0]]


def test_a_windows_perplexity_is_the_geometric_mean_and_the_median_is_over_windows(sums):
    described = describe_windows(sums, NAMES)
    assert described["perplexity"] == pytest.approx((4 + 3) / 2)
    assert described["accuracy"] == pytest.approx((1 / 3 + 3 / 4) / 2)


def test_without_a_masked_token_there_is_no_median(sums):
    assert describe_windows(sums[2:], NAMES) == {"accuracy": None, "perplexity": None}


def test_genomes_are_means_over_their_own_tokens_and_empty_ones_left_out(sums):
    baseline = sum_windows(LOSSES + 1, ~HITS, WEIGHTS)
    genomes = np.array(["yeast", "human", "empty"])
    described = describe_genomes(sums, baseline, genomes)
    assert list(described) == ["yeast", "human"]
    assert described["yeast"] == {
        "windows": 1,
        "tokens": 3,
        "loss": pytest.approx(math.log(4)),
        "accuracy": pytest.approx(1 / 3),
        "unigram_loss": pytest.approx(math.log(4) + 1),
        "unigram_accuracy": pytest.approx(2 / 3),
    }
    together = describe_genomes(sums, baseline, np.array(["all"] * 3))["all"]
    assert together["loss"] == pytest.approx((math.log(64) + math.log(81)) / 7)
