"""Top-k accuracy of drawn rows, of the best bases alone, against rows repeated as often."""

import tracemalloc

import numpy as np
import pytest

from dnalm.benchmark.scoring.metrics import single_score
from dnalm.benchmark.scoring.resampled_metrics import mean_of_known
from dnalm.benchmark.scoring.top_bases import find_top_bases

FOLDS, ROWS, CLASSES, BASES = 3, 40, 4, 25


def planted(random):
    labels = random.integers(-1, CLASSES, size=(ROWS, BASES))
    labels[random.random((ROWS, BASES)) < 0.8] = 0
    right = labels[..., None] == np.arange(CLASSES)
    outputs = random.random((FOLDS, ROWS, BASES, CLASSES)) + 0.4 * right
    return labels, outputs.astype(np.float32)


def best_of(labels, probability, label, size, step=7):
    """Return the best bases, read a few at a time."""
    rows, bases = np.nonzero(labels != -1)
    true, values = labels[rows, bases] == label, probability[rows, bases].astype(np.float32)

    def read():
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            yield rows[part], true[part], values[part]

    return find_top_bases(read, (labels == label).sum(axis=1), size)


def top_k(labels, outputs, draws, size=10**6):
    """Return the headline of draws, of all folds and classes above 0."""
    return np.mean(
        [
            mean_of_known(
                best_of(labels, fold[..., label], label, size).shares(draws)
                for label in range(1, outputs.shape[-1])
            )
            for fold in outputs
        ],
        axis=0,
    )


def repeated(labels, outputs, draw):
    """Return the same of rows that are repeated as often as they were drawn."""
    rows = np.repeat(np.arange(len(labels)), draw)
    folds = [
        single_score("top_k_accuracy", labels[rows], labels[rows], fold[rows], "per_base")
        for fold in outputs
    ]
    return np.mean(folds)


@pytest.mark.parametrize("pending", [1, 1 << 18])
def test_a_draw_scores_as_its_rows_do_when_they_are_repeated(monkeypatch, pending):
    monkeypatch.setattr("dnalm.benchmark.scoring.top_bases.PENDING", pending)
    random = np.random.default_rng(1)
    labels, outputs = planted(random)
    draws = np.stack(
        [np.bincount(d, minlength=ROWS) for d in random.integers(ROWS, size=(20, ROWS))]
    )
    draws = np.concatenate([np.ones((1, ROWS), int), draws])
    expected = [repeated(labels, outputs, draw) for draw in draws]
    most = 4 * max((labels == label).sum() for label in range(1, CLASSES))
    for size in (most, 10**6):
        found = top_k(labels, outputs, draws.astype(np.float32), size)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.std(expected) > 0.01


def test_the_best_bases_of_a_draw_are_found_where_few_of_them_were_drawn():
    # The best bases all lie in a row that is not drawn.
    labels = np.zeros((3, 200), dtype=int)
    labels[1, 0] = labels[2, :2] = 1
    probability = np.linspace(0.9, 0.1, 600).reshape(3, 200)
    probability[2, 0] = 0.6
    # Two copies of row 2: its four true bases; at 0.6 stands one, the next best is its base 1.
    # Row 1 alone: its first base is its best. All rows: none of the three best is true.
    draws = np.array([[0, 0, 2], [0, 1, 0], [1, 1, 1]])
    assert best_of(labels, probability, 1, 10**6).shares(draws).tolist() == [1.0, 1.0, 0.0]
    few = best_of(labels, probability, 1, 201)
    assert few.shares(draws) is None
    assert few.shares(draws[2:]).tolist() == [0.0]
    assert few.select(np.array([False, True, False])).shares(draws[:1, :1] + 1).tolist() == [1.0]


@pytest.mark.parametrize("levels", [1, 3])
def test_equally_probable_bases_of_a_draw_count_as_those_of_its_rows_do(levels):
    random = np.random.default_rng(4)
    labels = random.integers(0, 3, (12, 9)) * (random.random((12, 9)) < 0.4)
    outputs = random.integers(0, levels, (2, 12, 9, 3)) / 4
    draws = random.multinomial(12, np.full(12, 1 / 12), size=20)
    found = top_k(labels, outputs, draws)
    for draw, value in zip(draws, found, strict=True):
        assert value == pytest.approx(repeated(labels, outputs, draw), abs=1e-12)


def test_numbers_below_zero_and_both_zeros_rank_as_numbers_do():
    values = np.array([[-0.0, 0.0, -2.0, -1.0, 3.0, 1e-30]])
    found = best_of(np.array([[1, 0, 1, 0, 0, 1]]), values, 1, 4)
    # 3, 1e-30 and both zeros, which are equal: two entries of one base, one of two.
    assert found.sizes.tolist() == [1, 1, 2]
    assert found.true.tolist() == [0, 1, 1]
    assert found.complete is False


def test_how_many_draws_are_taken_at_once_changes_no_score(monkeypatch):
    random = np.random.default_rng(3)
    labels, outputs = planted(random)
    draws = random.integers(3, size=(50, ROWS)).astype(np.float32)
    together = top_k(labels, outputs, draws)
    monkeypatch.setattr("dnalm.benchmark.scoring.top_bases.NUMBERS_AT_ONCE", 1)
    assert np.array_equal(top_k(labels, outputs, draws), together)


@pytest.mark.parametrize("constant", [True, False])
def test_what_is_kept_of_millions_of_bases_is_what_draws_take(constant):
    """Four million bases with SpliceAI's share of sites; a constant is one entry for each row."""
    random = np.random.default_rng(5)
    rows, length = 800, 5000
    sites = np.ones(rows, dtype=int)

    def read():
        for row in range(rows):
            probabilities = random.random(length, dtype=np.float32)
            if constant:
                probabilities[:] = 0.5
            yield np.full(length, row), np.arange(length) == row, probabilities

    tracemalloc.start()
    found = find_top_bases(read, sites, 4 * rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = rows * length if constant else 4 * rows
    assert kept <= found.sizes.sum() <= kept + 1  # two of them may be equal
    assert len(found.rows) == rows if constant else kept - 1 <= len(found.rows) <= kept + 1
    assert found.complete is constant
    assert peak < 8 * rows * length  # bytes; 13 a base would be those of all
