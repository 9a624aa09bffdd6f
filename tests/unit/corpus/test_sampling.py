"""The permutation is one to one and shuffles; the generators are functions of their names."""

import numpy as np
import pytest

from dnalm.corpus.sampling import Stream, generator, permute


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 255, 256, 257, 4097, 100_003])
@pytest.mark.parametrize("epoch", [0, 1, 12345])
def test_the_permutation_meets_every_number_once(size, epoch):
    found = permute(np.arange(size), size, seed=42, epoch=epoch)
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(size))


def test_the_permutation_does_not_depend_on_what_is_asked_together():
    whole = permute(np.arange(1000), 1000, seed=7, epoch=3)
    assert [int(permute(i, 1000, seed=7, epoch=3)) for i in range(0, 1000, 37)] == list(whole[::37])
    mixed = permute([5, 5], 1000, seed=7, epoch=[3, 4])
    assert mixed[0] == whole[5]
    assert mixed[1] == permute(5, 1000, seed=7, epoch=4)


def test_other_seeds_and_epochs_are_other_permutations():
    orders = [permute(np.arange(500), 500, seed, epoch) for seed in range(4) for epoch in range(4)]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert np.mean(order == other) < 0.02


def test_a_batch_is_a_fair_draw_of_windows():
    """Neighbours land independently: neither close together nor evenly spaced."""
    size = 1 << 20
    order = permute(np.arange(200_000), size, seed=1, epoch=0)
    steps = np.diff(order)
    assert len(np.unique(steps)) > 150_000
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.01
    counts = np.bincount(order * 100 // size, minlength=100)
    # Drawing without replacement, so somewhat less than the binomial spread.
    assert np.all(np.abs(counts - 2000) < 6 * np.sqrt(2000))


def test_every_place_is_reached_from_every_place_alike():
    size, permutations = 6, 6000
    found = permute(np.zeros(permutations, int), size, seed=9, epoch=np.arange(permutations))
    counts = np.bincount(found, minlength=size)
    assert np.all(np.abs(counts - permutations / size) < 5 * np.sqrt(permutations / size))


@pytest.mark.parametrize("index", [-1, 10])
def test_numbers_outside_are_refused(index):
    with pytest.raises(ValueError, match=r"outside 0 \.\. 9"):
        permute([3, index], 10, seed=1, epoch=0)


def test_generators_depend_on_seed_stream_and_sample_only():
    first = generator(5, Stream.MASK, 77).random(8)
    assert np.array_equal(first, generator(5, Stream.MASK, 77).random(8))
    others = [
        generator(6, Stream.MASK, 77),
        generator(5, Stream.START, 77),
        generator(5, Stream.MASK, 78),
    ]
    for other in others:
        assert not np.isin(other.random(1000), first).any()


def test_generators_of_neighbouring_samples_are_independent():
    draws = np.array([generator(1, Stream.START, n).integers(0, 101) for n in range(5000)])
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.06
    assert np.all(np.abs(np.bincount(draws, minlength=101) - 49.5) < 6 * np.sqrt(49.5))
