"""Reconstruction of masked tokens against transformers and worked numbers; a Markov baseline."""

from itertools import product

import numpy as np
import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.interpretation.markov import MarkovModel, contexts_before
from dnalm.interpretation.reconstruction import (
    choose_masked,
    equal_bases,
    rounds_of_all,
    score_masked,
    summarise,
)
from dnalm.model.export import export_config
from dnalm.model.weights import to_published

VOCABULARY = Vocabulary(3, "v1")


@pytest.fixture(scope="module")
def encoder(esm):
    return esm.encoder


def windows(number, bases, seed=0):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, (number, bases)).astype(np.uint8)
    return torch.from_numpy(np.stack([encode(one, VOCABULARY) for one in codes]).astype(np.int64))


def test_losses_and_predictions_are_those_of_transformers(encoder):
    from transformers import EsmConfig, EsmForMaskedLM

    tokens = windows(3, 60)
    places = [np.array([2, 9, 17]), np.array([5]), np.array([1, 20])]
    found = score_masked(encoder, VOCABULARY, tokens, places)
    reference = EsmForMaskedLM(EsmConfig(**export_config(encoder.config)))
    reference.load_state_dict(to_published(encoder.state_dict()), strict=False)
    masked = tokens.clone()
    for row, own in enumerate(places):
        masked[row, own] = VOCABULARY.mask
    with torch.inference_mode():
        logits = reference.eval()(masked, attention_mask=torch.ones_like(masked)).logits
    assert found.rows.tolist() == [0, 0, 0, 1, 2, 2]
    assert found.places.tolist() == [2, 9, 17, 5, 1, 20]
    own = logits[found.rows, found.places]
    truth = tokens[found.rows, found.places]
    expected = torch.nn.functional.cross_entropy(own, truth, reduction="none")
    np.testing.assert_allclose(found.loss, expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(found.predicted, own.argmax(-1).numpy())
    np.testing.assert_array_equal(found.truth, truth.numpy())


def test_whole_kmers_alone_are_masked_and_the_centre_is_the_nearest():
    tokens = encode(to_codes("ACG" * 4 + "N" * 9 + "ACG" * 2 + "AC"), VOCABULARY)
    whole = [1, 2, 3, 4, 14, 15]
    random = np.random.default_rng(0)
    assert choose_masked(tokens, VOCABULARY, "centre", 0.15, random).tolist() == [4]
    for share, number in ((0.15, 1), (0.5, 3), (1.0, 6)):
        found = choose_masked(tokens, VOCABULARY, "random", share, random)
        assert len(found) == number
        assert set(found.tolist()) <= set(whole)
    rounds = rounds_of_all(tokens, VOCABULARY, 0.25)
    assert sorted(np.concatenate(rounds).tolist()) == whole
    with pytest.raises(InputError, match="no whole k-mer"):
        choose_masked(encode(to_codes("NNAC"), VOCABULARY), VOCABULARY, "centre", 0.15, random)


def test_worked_accuracies_and_perplexities():
    six = Vocabulary(6, "v1")
    ids = [int(encode(to_codes(word), six)[1]) for word in ("ACGTGT", "ACGAGT")]
    assert equal_bases(np.array([ids[1]]), np.array([ids[0]]), six) == pytest.approx([5 / 6])
    assert equal_bases(np.array([six.n_id]), np.array([ids[0]]), six) == [0.0]
    hits = np.arange(12) < 3
    summary = summarise(np.zeros(12, dtype=int), np.zeros(12), hits, hits * 1.0, np.full(12, 6))
    assert summary.accuracy == 0.25
    loss = -np.log([0.5, 0.25, 0.125, 0.5])
    lengths = np.array([6, 2, 3, 3])
    shares = np.array([0.5, 1.0, 0.0, 1 / 3])
    found = summarise(np.array([0, 0, 1, 1]), loss, np.zeros(4, dtype=bool), shares, lengths)
    assert found.perplexity == pytest.approx(3.363586, abs=1e-6)
    assert np.exp(loss).mean() == pytest.approx(4.0)
    assert found.median_perplexity == pytest.approx(
        np.exp(np.median([loss[:2].mean(), loss[2:].mean()]))
    )
    # Nats per base, and bases, are of all tokens together: that of six bases counts thrice.
    assert found.base_loss == pytest.approx(np.log(2 * 4 * 8 * 2) / 14)
    assert found.median_base_loss == pytest.approx(np.log([8, 16]) @ [1 / 8, 1 / 6] / 2)
    assert found.base_accuracy == pytest.approx((3 + 2 + 0 + 1) / 14)
    none = np.array([], dtype=int)
    nothing = summarise(none, none * 1.0, none > 0, none * 1.0, none)
    assert nothing.tokens == 0
    assert np.isnan(nothing.accuracy)


def test_a_markov_model_has_the_probabilities_of_its_chain():
    random = np.random.default_rng(1)
    transition = random.dirichlet([2.0] * 4, size=16)  # order 2
    codes = [0, 1]
    for _ in range(60_000):
        codes.append(int(random.choice(4, p=transition[codes[-2] * 4 + codes[-1]])))
    codes = np.array(codes, dtype=np.uint8)
    model = MarkovModel.train([codes[:30_000], codes[30_000:]], order=2)
    np.testing.assert_allclose(np.exp(model.log_probabilities), transition, atol=0.04)
    by_hand = sum(
        model.log_probabilities[context, base]
        for context, base in ((0 * 4 + 2, 1), (2 * 4 + 1, 2), (1 * 4 + 2, 3))
    )
    found = model.log_probability(np.array([2]), np.array([[1, 2, 3]]))
    assert found == pytest.approx([by_hand])


@pytest.mark.parametrize("length", [1, 3, 5])
def test_the_most_probable_word_is_the_best_of_all_words(length):
    random = np.random.default_rng(2)
    model = MarkovModel(random.integers(0, 50, 4**4), order=3)
    words = np.array(list(product(range(4), repeat=length)))
    for context in range(0, 64, 7):
        own = model.log_probability(np.full(len(words), context), words)
        assert np.exp(own).sum() == pytest.approx(1.0)
        best = model.predict(np.array([context]), length)
        found = model.log_probability(np.array([context]), best)
        assert found == pytest.approx([own.max()])
    # One table serves words of every length: a longer word first, then a shorter one.
    model.predict(np.array([5]), 9)
    assert model.predict(np.array([5]), 1).tolist() == [[model.log_probabilities[5].argmax()]]


def test_contexts_before_a_place_need_all_their_bases():
    codes = to_codes("ATCGNATC")
    assert contexts_before(codes, np.array([0, 2, 4, 6, 8]), 2).tolist() == [
        -1,
        int(codes[0]) * 4 + int(codes[1]),
        int(codes[2]) * 4 + int(codes[3]),
        -1,
        int(codes[6]) * 4 + int(codes[7]),
    ]
