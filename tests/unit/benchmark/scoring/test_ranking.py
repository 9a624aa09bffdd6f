"""Rankings of bases read in blocks: worked numbers, scikit-learn's values, ties, memory."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, matthews_corrcoef

from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.scoring.output_scores import output_scores
from dnalm.benchmark.scoring.ranking import (
    MULTIPLES,
    confusion,
    matthews_of,
    rank,
    read_blocks,
)
from dnalm.benchmark.scoring.stored_outputs import BLOCK_BASES

TRUTH = np.array([int(letter) for letter in "0010100100"]) == 1
SCORES = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.05, 0.6, 0.3, 0.25, 0.15])


def in_pieces(truth, scores, size):
    def read():
        for start in range(0, len(truth), size):
            yield truth[start : start + size], scores[start : start + size]

    return read


@pytest.mark.parametrize("size", [1, 3, 10])
def test_the_worked_example_has_its_top_k_accuracies_and_average_precision(size):
    found = rank(in_pieces(TRUTH, SCORES, size))
    assert found.top_k[0.5] == 1.0
    assert found.top_k[1] == pytest.approx(0.6667, abs=5e-5)
    assert found.top_k[2] == 1.0
    assert found.top_k[4] == 1.0
    assert found.average_precision == pytest.approx(0.755556, abs=5e-7)


def sorted_top_k(truth, scores, multiple):
    """Return SpliceAI's: the mean over orders of equal scores is taken by drawing them."""
    k = max(1, int(multiple * truth.sum()))
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        order = np.lexsort((random.random(len(truth)), -scores))
        top = truth[order[:k]].sum()
        found.append(top / min(k, truth.sum(), len(truth)))
    return np.mean(found)


@pytest.mark.parametrize("ties", [False, True])
def test_blocks_give_what_sorting_all_and_scikit_learn_give(ties):
    random = np.random.default_rng(1)
    truth = random.random(3000) < 0.03
    scores = random.random(3000) + 0.4 * truth
    if ties:
        scores = np.round(scores, 1)
    found = rank(in_pieces(truth, scores, 257))
    assert found.average_precision == pytest.approx(average_precision_score(truth, scores))
    for multiple in MULTIPLES:
        expected = sorted_top_k(truth, scores, multiple)
        assert found.top_k[multiple] == pytest.approx(expected, abs=0.01 if ties else 1e-12)


def test_a_class_without_a_base_has_no_ranking_and_one_of_all_bases_a_perfect_one():
    assert rank(in_pieces(np.zeros(5, bool), np.arange(5.0), 2)) is None
    found = rank(in_pieces(np.ones(5, bool), np.arange(5.0), 2))
    assert set(found.top_k.values()) == {1.0}
    assert found.average_precision == 1.0


def test_confusion_in_blocks_gives_the_accuracy_and_correlation_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("dnalm.benchmark.scoring.stored_outputs.BLOCK_BASES", 100)
    random = np.random.default_rng(2)
    labels = random.integers(-1, 3, (40, 30)).astype(np.int8)
    predictions = np.where(random.random((40, 30)) < 0.6, labels, random.integers(0, 3, (40, 30)))
    predictions = np.maximum(predictions, 0)
    counts = confusion(labels, predictions, 3)
    known = labels != -1
    assert counts.sum() == known.sum()
    assert matthews_of(counts) == pytest.approx(
        matthews_corrcoef(labels[known], predictions[known])
    )
    assert np.trace(counts) / counts.sum() == pytest.approx(
        accuracy_score(labels[known], predictions[known])
    )
    assert matthews_of(confusion(labels, np.zeros_like(predictions), 3)) == 0


def test_acceptors_and_donors_have_scores_of_their_own_and_the_headline_is_their_mean():
    random = np.random.default_rng(3)
    labels = random.choice([0, 1, 2, -1], (20, 50), p=[0.8, 0.08, 0.07, 0.05]).astype(np.int8)
    outputs = random.random((20, 50, 3)).astype(np.float32)
    found = output_scores([(labels, outputs.argmax(-1), outputs)], "per_base")
    assert found["positives"] == [(labels == 1).sum(), (labels == 2).sum()]
    whole = score(labels, outputs.argmax(-1), outputs, "per_base")
    assert np.mean(found["top_1k_accuracy"]["mean"]) == pytest.approx(whole["top_k_accuracy"])
    precisions = found["average_precision"]["mean"]
    assert np.mean(precisions) == pytest.approx(whole["average_precision_mean"])
    known = labels != -1
    assert precisions[0] == pytest.approx(
        average_precision_score(labels[known] == 1, outputs[..., 1][known])
    )
    assert set(found) == {
        *("top_0.5k_accuracy", "top_1k_accuracy", "top_2k_accuracy", "top_4k_accuracy"),
        *("average_precision", "positives"),
    }


def test_memory_is_that_of_a_block_and_not_of_millions_of_bases():
    """Eight million bases with SpliceAI's share of sites; 82 million need ten times the blocks."""
    random = np.random.default_rng(4)
    labels = np.zeros((1600, 5000), dtype=np.int8)
    labels.reshape(-1)[random.choice(labels.size, 1400, replace=False)] = 1
    outputs = random.random((1600, 5000, 2), dtype=np.float32)
    outputs[..., 1] += labels
    tracemalloc.start()
    found = rank(partial(read_blocks, labels, outputs, 1))
    counts = confusion(labels, labels, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.top_k[1] == 1
    assert counts.trace() == labels.size
    assert peak < 40 * BLOCK_BASES  # bytes; 8 bytes a base of all of them would be 64 MB
    assert peak < labels.size * 8
