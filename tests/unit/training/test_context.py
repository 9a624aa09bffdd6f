"""Context ablation: what is moved, what stays, and what tempered frequencies cost."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from dnalm.corpus.sampling import Stream
from dnalm.genome.kmers import Vocabulary
from dnalm.training.context import shuffle_context, swap_context
from dnalm.training.masking import MaskingConfig, mask
from dnalm.training.reconstruction import EXPONENTS, score_tempered, score_unigram

VOCABULARY = Vocabulary(3, "v2")
KMERS = slice(VOCABULARY.kmer_offset, VOCABULARY.base_offset)
WINDOWS, TOKENS = 40, 60


def draw_windows(seed=0):
    """Windows of 3-mers, each with two single bases and an N at places of its own."""
    random = np.random.default_rng(seed)
    tokens = random.integers(KMERS.start, KMERS.stop, (WINDOWS, TOKENS))
    tokens[:, 0] = VOCABULARY.cls
    for row, place in zip(tokens, random.integers(1, TOKENS - 3, WINDOWS), strict=True):
        bases = random.integers(0, 4, 2) + VOCABULARY.base_offset
        row[place : place + 3] = [*bases, VOCABULARY.n_id]
    return tokens.astype(np.uint16)


def apply_masks(windows, min_kmers=8):
    return mask(
        windows,
        np.arange(len(windows)),
        config=MaskingConfig(selected=0.15, masked=0.8, random=0.1),
        vocabulary=VOCABULARY,
        min_kmers=min_kmers,
        seed=1,
        stream=Stream.VALIDATION_MASK,
    )


def sorts(tokens):
    """0 where a token is special or N, 1 of k-mers, 2 of single bases."""
    kmers = (tokens >= KMERS.start) & (tokens < KMERS.stop)
    bases = (tokens >= VOCABULARY.base_offset) & (tokens < VOCABULARY.n_id)
    return kmers + 2 * bases


def test_shuffling_keeps_composition_masks_and_what_kind_of_token_stands_where():
    masked = apply_masks(draw_windows())
    shuffled = shuffle_context(masked, VOCABULARY, seed=3)
    assert (np.sort(shuffled, axis=1) == np.sort(masked.inputs, axis=1)).all()
    assert (sorts(shuffled) == sorts(masked.inputs)).all()
    still = sorts(masked.inputs) == 0
    assert (shuffled[still] == masked.inputs[still]).all()
    moved = (shuffled != masked.inputs)[sorts(masked.inputs) == 1].mean()
    assert moved > 0.9  # a token finds its own kind again in one of 64 places
    assert (shuffled == shuffle_context(masked, VOCABULARY, seed=3)).all()
    assert (shuffled != shuffle_context(masked, VOCABULARY, seed=4)).any()


def test_another_windows_tokens_stand_around_the_same_masks_and_no_window_keeps_its_own():
    windows = draw_windows()
    masked = apply_masks(windows)
    foreign = swap_context(masked, windows, VOCABULARY, seed=3)
    assert (sorts(foreign) == sorts(masked.inputs)).all()
    still = sorts(masked.inputs) == 0
    assert (foreign[still] == masked.inputs[still]).all()
    givers = []
    for row in foreign:
        seen = row[sorts(row) == 1].tolist()
        given = [window[sorts(window) == 1][: len(seen)].tolist() for window in windows]
        givers.append(given.index(seen))
    assert sorted(givers) == list(range(WINDOWS))
    assert not any(giver == taker for taker, giver in enumerate(givers))


def test_a_window_alone_has_no_other_and_thin_ones_give_nothing():
    windows = draw_windows()
    windows[2:, 1:] = VOCABULARY.n_id  # too few k-mers to count
    masked = apply_masks(windows)
    foreign = swap_context(masked, windows, VOCABULARY, seed=3)
    assert (foreign[2:] == masked.inputs[2:]).all()
    assert (foreign[0] != masked.inputs[0]).any()
    assert swap_context(apply_masks(windows[1:]), windows[1:], VOCABULARY, seed=3) is None


def test_the_exponent_of_tempered_frequencies_is_the_best_of_the_other_half():
    """Held-out frequencies are the square roots of those of training."""
    random = np.random.default_rng(5)
    counts = np.exp(random.normal(size=64) * 1.5)
    truth = counts**0.5 / (counts**0.5).sum()
    targets = random.choice(64, p=truth, size=(400, 50)) + VOCABULARY.kmer_offset
    weights = (random.random(targets.shape) < 0.8).astype(float)
    many = np.round(counts * 1e6).astype(np.int64)
    losses, exponents = score_tempered(targets, weights, many, VOCABULARY.kmer_offset, 64)
    logs = np.log(many + 1.0)

    def loss(exponent, rows):
        chances = np.exp(exponent * (logs - logs.max()))
        own = -np.log(chances / chances.sum())[targets[rows] - VOCABULARY.kmer_offset]
        return (own * weights[rows]).sum(1)

    for start, exponent in enumerate(exponents):
        other = np.arange(1 - start, 400, 2)
        best = minimize_scalar(lambda e, rows=other: loss(e, rows).sum(), bounds=(0, 2)).x
        assert exponent == pytest.approx(best, abs=np.diff(EXPONENTS)[0] / 2 + 1e-6)
        own = np.arange(start, 400, 2)
        assert losses[own] == pytest.approx(loss(exponent, own), rel=1e-9)
    assert exponents == pytest.approx((0.5, 0.5), abs=0.06)
    plain, _ = score_unigram(targets, many, VOCABULARY.kmer_offset, 64)
    assert losses.sum() < (plain * weights).sum()
