import numpy as np
import pytest

from dnalm.corpus.sampling import Stream
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.training.masking import Kind, MaskingConfig, mask

PAPER = MaskingConfig(selected=0.15, masked=0.8, random=0.1)
V1, V2 = Vocabulary(6, "v1"), Vocabulary(6, "v2")


def clean_tokens(rows, length, vocabulary, seed=0):
    """Return rows of <cls> and k-mers drawn uniformly."""
    generator = np.random.default_rng(seed)
    shape = (rows, length)
    tokens = generator.integers(vocabulary.kmer_offset, vocabulary.base_offset, shape)
    tokens[:, 0] = vocabulary.cls
    return tokens.astype(np.uint16)


def apply(tokens, vocabulary, config=PAPER, *, samples=None, min_kmers=1, seed=1, max_n_share=None):
    samples = np.arange(len(tokens)) if samples is None else samples
    return mask(
        tokens,
        samples,
        config=config,
        vocabulary=vocabulary,
        min_kmers=min_kmers,
        seed=seed,
        stream=Stream.MASK,
        max_n_share=max_n_share,
    )


def within_five_sigma(successes, trials, share):
    return abs(successes - trials * share) <= 5 * np.sqrt(trials * share * (1 - share))


@pytest.mark.parametrize("vocabulary", [V1, V2])
def test_shares_are_those_of_the_paper(vocabulary):
    tokens = clean_tokens(500, 1000, vocabulary)
    masked = apply(tokens, vocabulary)
    assert masked.positions.shape == (500, round(0.15 * 999))
    assert (masked.weights == 1).all()
    total = masked.kinds.size
    for kind, share in ((Kind.MASK, 0.8), (Kind.RANDOM, 0.1), (Kind.KEPT, 0.1)):
        assert within_five_sigma((masked.kinds == kind).sum(), total, share)


def test_every_position_is_selected_equally_often_and_once():
    masked = apply(clean_tokens(4000, 41, V2), V2)
    assert all(len(set(row)) == len(row) for row in masked.positions)
    counts = np.bincount(masked.positions.ravel(), minlength=41)
    assert counts[0] == 0
    share = masked.positions.shape[1] / 40
    assert all(within_five_sigma(count, 4000, share) for count in counts[1:])


def test_inputs_show_what_the_kinds_say_and_are_else_untouched():
    tokens = clean_tokens(200, 300, V2)
    masked = apply(tokens, V2)
    seen = np.take_along_axis(masked.inputs, masked.positions, axis=1)
    assert (masked.targets == np.take_along_axis(tokens, masked.positions, axis=1)).all()
    assert (seen[masked.kinds == Kind.MASK] == V2.mask).all()
    assert (seen == masked.targets)[masked.kinds == Kind.KEPT].all()
    assert (seen != masked.targets)[masked.kinds == Kind.RANDOM].all()
    restored = masked.inputs.copy()
    np.put_along_axis(restored, masked.positions, masked.targets, axis=1)
    assert (restored == tokens).all()


def test_a_random_token_is_any_other_maskable_one_equally_often():
    vocabulary = Vocabulary(2, "v2")  # 16 k-mers and A, T, C, G: 19 others for each target
    only_random = MaskingConfig(selected=1.0, masked=0.0, random=1.0)
    tokens = clean_tokens(2000, 31, vocabulary)
    tokens[:, 5] = vocabulary.base_offset + 2
    masked = apply(tokens, vocabulary, only_random)
    seen = np.take_along_axis(masked.inputs, masked.positions, axis=1)
    for target in np.unique(masked.targets):
        drawn = np.bincount(seen[masked.targets == target], minlength=vocabulary.size)
        others = np.arange(vocabulary.kmer_offset, vocabulary.n_id)
        others = others[others != target]
        assert drawn.sum() == drawn[others].sum()
        assert all(within_five_sigma(drawn[other], drawn.sum(), 1 / 19) for other in others)


@pytest.mark.parametrize("vocabulary", [V1, V2])
def test_specials_and_n_are_never_selected_and_never_drawn(vocabulary):
    tokens = clean_tokens(300, 200, vocabulary)
    generator = np.random.default_rng(5)
    hidden = generator.random(tokens.shape) < 0.3
    tokens[hidden] = vocabulary.n_id
    tokens[generator.random(tokens.shape) < 0.1] = vocabulary.pad
    tokens[:, 0] = vocabulary.cls
    masked = apply(tokens, vocabulary)
    used = masked.weights > 0
    maskable = (masked.targets >= vocabulary.kmer_offset) & (masked.targets < vocabulary.n_id)
    assert maskable[used].all()
    unmaskable = (tokens < vocabulary.kmer_offset) | (tokens == vocabulary.n_id)
    assert (masked.inputs == tokens)[unmaskable].all()
    drawn = np.take_along_axis(masked.inputs, masked.positions, axis=1)
    drawn = drawn[used & (masked.kinds == Kind.RANDOM)]
    assert drawn.min() >= vocabulary.kmer_offset
    assert drawn.max() < vocabulary.n_id


def test_used_slots_are_the_rounded_share_of_maskable_tokens():
    tokens = clean_tokens(4, 101, V2)
    tokens[1, 1:51] = V2.n_id  # 50 maskable: round(7.5) = 8
    tokens[2, 1:98] = V2.n_id  # 3 maskable: round(0.45) = 0
    tokens[3, 1:] = V2.base_offset  # single bases are maskable
    masked = apply(tokens, V2, min_kmers=0)
    assert masked.weights.shape == (4, 15)
    assert masked.weights.sum(1).tolist() == [15, 8, 0, 15]
    assert (masked.inputs[2] == tokens[2]).all()


def test_a_window_with_too_few_kmers_weighs_nothing_and_is_counted():
    tokens = clean_tokens(3, 101, V2)
    tokens[1, 1:] = V2.base_offset
    tokens[1, 1:20] = V2.kmer_offset  # 19 k-mers and 81 single bases
    masked = apply(tokens, V2, min_kmers=20)
    assert masked.thin.tolist() == [False, True, False]
    assert masked.weights.sum(1).tolist() == [15, 0, 15]
    assert (masked.inputs[1] == tokens[1]).all()
    assert not apply(tokens, V2, min_kmers=19).thin.any()


def test_a_window_of_which_more_bases_are_n_than_asked_for_weighs_nothing():
    tokens = clean_tokens(4, 101, V2)
    tokens[1, 1:25] = V2.n_id  # 24 N beside 76 6-mers: 24 of 480 bases, 5 %
    tokens[2, 1:26] = V2.n_id  # 25 of 475
    tokens[3, 1:26] = V2.n_id
    tokens[3, 26:51] = V2.base_offset  # 25 of 350, as 25 tokens hold one base each
    assert apply(tokens, V2, max_n_share=0.05).thin.tolist() == [False, False, True, True]
    assert apply(tokens, V2, max_n_share=0.07).thin.tolist() == [False, False, False, True]
    masked = apply(tokens, V2, max_n_share=0.05)
    assert masked.weights.sum(1).tolist() == [15, 11, 0, 0]
    assert not apply(tokens, V2).thin.any()
    padded = tokens[1:2].copy()
    padded[0, -1] = V2.pad  # no base: 24 of 474
    assert apply(padded, V2, max_n_share=0.05).thin.all()


def test_a_row_depends_on_its_sample_number_alone():
    tokens = clean_tokens(8, 101, V2)
    samples = np.array([40, 3, 17, 9, 1000000007, 5, 6, 7])
    together = apply(tokens, V2, samples=samples)
    for row in (2, 4):
        alone = apply(tokens[row : row + 1], V2, samples=samples[row : row + 1])
        for name in ("inputs", "positions", "targets", "weights", "kinds"):
            assert (getattr(alone, name)[0] == getattr(together, name)[row]).all()
    other = apply(tokens, V2, samples=samples, seed=2)
    assert (other.positions != together.positions).any()


def test_without_random_replacement_the_rest_is_kept():
    masked = apply(
        clean_tokens(100, 200, V1), V1, MaskingConfig(selected=0.15, masked=0.8, random=0.0)
    )
    assert set(np.unique(masked.kinds)) == {Kind.MASK, Kind.KEPT}


@pytest.mark.parametrize(
    ("shares", "key"),
    [
        ({"selected": 0.0, "masked": 0.8, "random": 0.1}, "selected"),
        ({"selected": 0.15, "masked": 0.8, "random": 0.3}, "random"),
    ],
)
def test_impossible_shares_are_named(shares, key):
    with pytest.raises(InputError, match=key):
        MaskingConfig(**shares)
