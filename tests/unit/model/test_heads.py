"""Pooling against means written out by hand, and the classifier on it."""

import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.adapters import add_adapter
from dnalm.model.encoder import Encoder
from dnalm.model.heads import (
    BaseClassifier,
    PooledClassifier,
    pool,
    pooling_weights,
    weigh,
    weigh_in_float64,
)


def tokens_of(sequences: list[str], vocabulary: Vocabulary) -> torch.Tensor:
    rows = [
        torch.from_numpy(encode(to_codes(sequence), vocabulary).astype("int64"))
        for sequence in sequences
    ]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=vocabulary.pad)


def means_over(states: torch.Tensor, columns: list[list[int]]) -> torch.Tensor:
    return torch.stack([states[row, chosen].mean(0) for row, chosen in enumerate(columns)])


@pytest.fixture
def sequences() -> list[str]:
    # As tokens, k = 3: <cls> ACG TAC GTA CG N A TTT  (columns 0 … 9 with C, G single), and shorter.
    return ["ACGTACGTACGNATTT", "ACGTACG", "AC"]


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(5))


def test_mean_takes_kmers_and_single_bases_but_no_cls_no_pad_and_no_n(
    sequences: list[str], states: torch.Tensor, vocabulary: Vocabulary
) -> None:
    tokens = tokens_of(sequences, vocabulary)
    # <cls> ACG TAC GTA C G N ATT T | <cls> ACG TAC G | <cls> A C
    assert (tokens != vocabulary.pad).sum(1).tolist() == [9, 4, 3]
    expected = means_over(states, [[1, 2, 3, 4, 5, 7, 8], [1, 2, 3], [1, 2]])
    torch.testing.assert_close(pool(states, tokens, vocabulary, "mean"), expected)


@pytest.mark.parametrize(
    ("sequence", "pooling", "centre_bases", "columns"),
    [
        # As tokens: <cls> ACG N N N TTT.
        ("ACGNNNTTT", "mean", None, [1, 5]),
        ("ACGNNNTTT", "centre", 5, [1, 5]),  # bases 2–6
        ("ACGNNNTTT", "centre", 1, [3]),  # base 4, an N
        ("NNNNTTT", "centre", 3, [5]),  # bases 2–4: N N TTT
        ("NNN", "mean", None, [1, 2, 3]),
        ("NNN", "centre", 1, [2]),
    ],
)
def test_n_has_a_place_but_is_pooled_only_where_there_is_nothing_else(
    states: torch.Tensor,
    vocabulary: Vocabulary,
    sequence: str,
    pooling: str,
    centre_bases: int | None,
    columns: list[int],
) -> None:
    tokens = tokens_of([sequence], vocabulary)
    pooled = pool(states[:1, : tokens.shape[1]], tokens, vocabulary, pooling, centre_bases)
    torch.testing.assert_close(pooled, means_over(states[:1], [columns]))


@pytest.mark.parametrize(
    ("centre_bases", "columns"),
    [
        # 16 bases in tokens [0,3) [3,6) [6,9) 9 10 11 [12,15) 15; 7 in [0,3) [3,6) 6; 2 in 0 1.
        (1, [[3], [2], [1]]),  # bases 7; 3; 0
        (2, [[3], [1, 2], [1, 2]]),  # bases 7–8; 2–3; 0–1
        (4, [[3, 4], [1, 2], [1, 2]]),  # bases 6–9; 1–4; all
        (5, [[2, 3, 4], [1, 2], [1, 2]]),  # bases 5–9; 1–5; all
        (100, [[1, 2, 3, 4, 5, 7, 8], [1, 2, 3], [1, 2]]),
    ],
)
def test_centre_takes_tokens_that_overlap_the_middle_bases(
    sequences: list[str],
    states: torch.Tensor,
    vocabulary: Vocabulary,
    centre_bases: int,
    columns: list[list[int]],
) -> None:
    tokens = tokens_of(sequences, vocabulary)
    pooled = pool(states, tokens, vocabulary, "centre", centre_bases)
    torch.testing.assert_close(pooled, means_over(states, columns))


def test_a_sequence_without_bases_pools_to_zeros(vocabulary: Vocabulary) -> None:
    tokens = torch.tensor([[vocabulary.cls, vocabulary.pad]])
    for pooling in ("mean", "centre"):
        assert (pool(torch.ones(1, 2, 4), tokens, vocabulary, pooling, 3) == 0).all()


def test_cls_is_the_first_token_alone(
    sequences: list[str], states: torch.Tensor, vocabulary: Vocabulary
) -> None:
    tokens = tokens_of(sequences, vocabulary)
    torch.testing.assert_close(pool(states, tokens, vocabulary, "cls"), states[:, 0])


def test_a_sum_in_float64_is_not_rounded_and_autocast_does_not_change_it() -> None:
    states = 100 + torch.randn(2, 2000, 4, generator=torch.Generator().manual_seed(7))
    weights = torch.full((2, 2000), 1 / 2000)
    exact = (states.double() * weights.double()[..., None]).sum(1)
    with torch.autocast("cpu", torch.bfloat16):
        ours = weigh_in_float64(states, weights)
    assert ours.dtype == torch.float64
    assert (ours - exact).abs().max() <= 1e-11
    assert (weigh(states, weights) - exact).abs().max() <= 1e-3


@pytest.mark.parametrize(("pooling", "centre_bases"), [("max", 3), ("centre", None), ("centre", 0)])
def test_an_unknown_pooling_is_refused(
    vocabulary: Vocabulary, pooling: str, centre_bases: int | None
) -> None:
    with pytest.raises(InputError, match="give mean, cls, or centre"):
        pool(torch.ones(1, 1, 4), torch.tensor([[3]]), vocabulary, pooling, centre_bases)


@pytest.mark.parametrize("pooling", ["mean", "centre", "cls"])
def test_the_classifier_is_a_linear_layer_on_the_pooled_last_state(
    encoder: Encoder, batch, vocabulary: Vocabulary, pooling: str
) -> None:
    classifier = PooledClassifier(encoder, 3, pooling, vocabulary, centre_bases=6)
    pooled = pool(encoder(batch.tokens).states[-1], batch.tokens, vocabulary, pooling, 6)
    expected = pooled @ classifier.output.weight.T + classifier.output.bias
    assert expected.shape == (4, 3)
    torch.testing.assert_close(classifier(batch.tokens), expected)


def test_ia3_and_the_layer_are_all_that_trains(
    encoder: Encoder, batch, vocabulary: Vocabulary
) -> None:
    vectors = add_adapter(encoder, "ia3", {})
    classifier = PooledClassifier(encoder, 2, "mean", vocabulary)
    classifier(batch.tokens).square().sum().backward()
    with_gradient = {id(p) for p in classifier.parameters() if p.grad is not None}
    assert with_gradient == {id(p) for p in [*vectors, *classifier.output.parameters()]}


def test_every_base_takes_the_classes_of_its_place_in_its_token(
    encoder: Encoder, sequences: list[str], vocabulary: Vocabulary
) -> None:
    classifier = BaseClassifier(encoder, 2, vocabulary)
    tokens = tokens_of(sequences, vocabulary)
    logits = classifier(tokens)
    assert logits.shape == (3, 16, 2)
    states = encoder(tokens).states[-1]
    groups = states @ classifier.output.weight.T + classifier.output.bias
    # (token, place in it) of every base: ACG TAC GTA C G N ATT T, ACG TAC G and A C.
    words = [(token, place) for token in (1, 2, 3) for place in (0, 1, 2)]
    places = [
        [*words, (4, 0), (5, 0), (6, 0), (7, 0), (7, 1), (7, 2), (8, 0)],
        [*words[:6], (3, 0)],
        [(1, 0), (2, 0)],
    ]
    for row, expected in enumerate(places):
        for base, (token, place) in enumerate(expected):
            own = groups[row, token, 2 * place : 2 * place + 2]
            torch.testing.assert_close(logits[row, base], own)
        assert (logits[row, len(expected) :] == 0).all()


def test_no_base_of_a_sequence_depends_on_what_it_shares_a_batch_with(
    encoder: Encoder, sequences: list[str], vocabulary: Vocabulary
) -> None:
    classifier = BaseClassifier(encoder, 2, vocabulary)
    together = classifier(tokens_of(sequences, vocabulary))
    for row, sequence in enumerate(sequences):
        alone = classifier(tokens_of([sequence], vocabulary))[0]
        torch.testing.assert_close(together[row, : len(sequence)], alone)


def test_a_host_that_knows_the_longest_sequence_asks_for_no_number_of_the_device(
    encoder: Encoder, sequences: list[str], vocabulary: Vocabulary, host_reads
) -> None:
    classifier, tokens = BaseClassifier(encoder, 2, vocabulary), tokens_of(sequences, vocabulary)
    with host_reads() as stacks:
        logits = classifier(tokens, longest=max(map(len, sequences)))
        assert not stacks
        assert torch.equal(logits, classifier(tokens))
    assert any("forward" in stack for stack in stacks)  # so they are seen where there are some


def test_a_centre_of_more_bases_than_a_number_of_the_device_holds_is_the_whole(vocabulary):
    tokens = torch.tensor([[vocabulary.cls, *range(vocabulary.kmer_offset, 10)]])
    every = pooling_weights(tokens, vocabulary, "centre", 10**20)
    assert torch.equal(every, pooling_weights(tokens, vocabulary, "mean"))
