"""What an embedder answers is checked, and refused with its numbers."""

import numpy as np
import pytest
import torch
import toy_embedder

from dnalm.errors import InputError
from dnalm.model.embedders.agreement import check_agreement
from dnalm.model.embedders.contract import check_lengths, count_tokens, embed_checked
from dnalm.model.embedders.opening import hash_weights, open_embedder
from dnalm.model.embedders.spans import pool_spans, weigh_spans

TOY = {"call": "toy_embedder:open_one_hot", "options": {"token_bases": 3}}
SEQUENCES = ["ACGTACGTA", "NNACG", "TT"]
ROWS = ["one", "two", "three"]


class Spoiled(toy_embedder.OneHot):
    """The toy embedder with answers that `spoil` changed."""

    def __init__(self, spoil):
        super().__init__(None, 3)
        self.spoil = spoil

    def embed(self, sequences):
        return [self.spoil(*answer) for answer in super().embed(sequences)]


def test_the_toy_package_keeps_the_contract():
    embedder = open_embedder(TOY, "cpu")
    answers = embed_checked(embedder, "toy", SEQUENCES, ROWS)
    assert [len(spans) for _, spans in answers] == [3, 2, 1]
    assert check_agreement(embedder, "toy", SEQUENCES, ROWS, "float32") == 0


def test_pooled_one_hot_states_are_the_composition():
    embedder = toy_embedder.open_one_hot("cpu")
    ((states, spans),) = embed_checked(embedder, "toy", ["AACGTTTT"], ["one"])
    pooled = pool_spans(states, spans, "AACGTTTT", "mean", 2)[0]
    torch.testing.assert_close(pooled, torch.tensor([2, 1, 1, 4, 0]) / 8)


@pytest.mark.parametrize(
    ("sequence", "spans", "pooling", "expected"),
    [
        ("ACGTAC", [(-1, -1), (0, 4), (4, 6), (-1, -1)], "mean", [0, 1, 1, 0]),
        ("ACGTNN", [(-1, -1), (0, 4), (4, 6)], "mean", [0, 1, 0]),  # N alone
        ("ACGTNC", [(-1, -1), (0, 4), (4, 6)], "mean", [0, 1, 1]),  # N and a base
        ("NNNN", [(0, 2), (2, 4)], "mean", [1, 1]),  # nothing but N
        ("ACGTACGTAC", [(0, 3), (3, 4), (4, 6), (6, 10)], "centre", [0, 0, 1, 0]),
        ("ACGTACGTAC", [(0, 3), (3, 5), (5, 7), (7, 10)], "centre", [0, 1, 1, 0]),
        ("A", [(-1, -1), (0, 1)], "centre", [0, 1]),
        ("ACGT", [(-1, -1), (0, 4)], "cls", [1, 0]),
    ],
)
def test_tokens_are_weighed_by_the_bases_that_they_cover(sequence, spans, pooling, expected):
    weights = weigh_spans(np.array(spans), sequence, pooling, 2)
    np.testing.assert_allclose(weights, np.array(expected) / sum(expected))


def test_cls_of_a_model_without_is_refused():
    with pytest.raises(InputError, match="the first token of this model covers bases"):
        weigh_spans(np.array([(0, 4)]), "ACGT", "cls", 2)


def lose_the_end(states, spans):
    return states[:, :-1], spans[:-1]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lose_the_end, "row one: toy has spans that leave out 3 of 9 bases, the first at 6"),
        (lambda states, spans: (states[:1], spans), r"shape \[1, 3, 5\], .* are \[2, 3, 5\]"),
        (lambda states, spans: (states / 0, spans), "15 states of layer 1 that are not finite"),
        (lambda states, spans: (states, spans + 1), r"the span \[7, 10\) in a sequence of 9 bases"),
        (lambda states, spans: (states, spans.astype(float)), "give .tokens, 2. whole numbers"),
        (lambda states, spans: (states, spans[:, :1]), r"spans of the shape \[3, 1\]"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_answer_that_breaks_the_contract_is_refused_with_its_numbers(spoil, sentence):
    with pytest.raises(InputError, match=sentence):
        embed_checked(Spoiled(spoil), "toy", SEQUENCES, ROWS)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "toy answers 3 sequences with a NoneType: its embed has to give a list"),
        ("states", "toy answers 3 sequences with a str"),
        ([None] * 3, "row one: toy gives a NoneType that is no pair of states and spans"),
        ([(np.zeros((2, 3, 5)),)] * 3, "row one: toy gives a tuple that is no pair"),
        ([("x", "y")] * 3, "row one: toy gives a tuple that is no pair"),
        ([(np.zeros((2, 2, 5)), [(0, 1), (1,)])] * 3, "row one: toy gives a tuple that is no pair"),
    ],
)
def test_what_is_no_answer_at_all_is_one_sentence(answer, sentence):
    embedder = toy_embedder.open_one_hot("cpu")
    embedder.embed = lambda sequences: answer
    with pytest.raises(InputError, match=sentence):
        embed_checked(embedder, "toy", SEQUENCES, ROWS)


@pytest.mark.parametrize("counts", [[3, 2], [3.5, 2, 1], [[3], [2], [1]], None])
def test_counts_of_tokens_that_are_no_number_for_each_are_refused(counts):
    embedder = toy_embedder.open_one_hot("cpu")
    embedder.count_tokens = lambda sequences: counts
    with pytest.raises(InputError, match="for 3 sequences: give a whole number for each"):
        count_tokens(embedder, SEQUENCES)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("/weights/x", "the text '/weights/x' as weights: give a list of paths"),
        (["/no/such/file"], "names /no/such/file among its weights, which is no file"),
    ],
)
def test_weights_that_are_no_list_of_files_are_refused(monkeypatch, weights, sentence):
    monkeypatch.setattr(toy_embedder.OneHot, "weights", weights)
    with pytest.raises(InputError, match=sentence):
        open_embedder(TOY, "cpu")


def test_too_few_answers_are_refused():
    embedder = toy_embedder.open_one_hot("cpu")
    embedder.embed = lambda sequences: []
    with pytest.raises(InputError, match="answers 3 sequences with 0"):
        embed_checked(embedder, "toy", SEQUENCES, ROWS)


class Padded(toy_embedder.OneHot):
    """Counts the pads of a batch as tokens: its states depend on the longest of the batch."""

    def embed(self, sequences):
        longest = max(map(len, sequences))
        answers = super().embed(sequences)
        return [(states * (1 + longest / 100), spans) for states, spans in answers]


class Forgetful(toy_embedder.OneHot):
    """Keeps a state between calls."""

    calls = 0

    def embed(self, sequences):
        self.calls += 1
        return [(states + self.calls, spans) for states, spans in super().embed(sequences)]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Padded, r"row two \(5 bases\): toy gives it other states in a batch of 3 than alone: layer"
         r" \d differs by 0.03\d* of its largest state, allowed is 0.001"),
        (Forgetful, "row one .*gives it other states .*leave no state between calls"),
    ],
)  # fmt: skip
def test_states_that_depend_on_the_batch_are_refused_with_the_numbers(kind, sentence):
    with pytest.raises(InputError, match=sentence):
        check_agreement(kind(None, 1), "toy", SEQUENCES, ROWS, "float32")


def test_a_sequence_over_the_longest_input_is_named():
    embedder = toy_embedder.open_one_hot("cpu", max_bases=8)
    tokens = count_tokens(embedder, SEQUENCES)
    with pytest.raises(
        InputError, match=r"row one has 9 bases, 9 bases of toy, .* at most 8 bases"
    ):
        check_lengths(embedder, "toy", SEQUENCES, ROWS, tokens)
    check_lengths(embedder, "toy", SEQUENCES[1:], ROWS[1:], tokens[1:])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"call": "nowhere_at_all:open"}, "nowhere_at_all of an embedder cannot be imported"),
        ({"call": "toy_embedder:close"}, "toy_embedder has no function close"),
        ({"call": "toy_embedder:open_one_hot", "imports": ["nor_here"]}, "nor_here of an embedder"),
        ({"call": "builtins:dict"}, "has no layers, width, max_bases, weights, embed"),
        (TOY | {"options": {"size": 2}}, "with device and the options size .*: correct `options`"),
        (TOY | {"options": {"max_bases": 0}}, "has max_bases 0: give a whole number from 1 on"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(entry, sentence):
    with pytest.raises(InputError, match=sentence):
        open_embedder(entry, "cpu")


def test_without_files_the_hash_is_of_the_call_and_its_options(tmp_path):
    embedder = open_embedder(TOY, "cpu")
    other = TOY | {"options": {"token_bases": 2}}
    assert hash_weights(embedder, TOY) == hash_weights(embedder, dict(reversed(TOY.items())))
    assert hash_weights(embedder, TOY) != hash_weights(embedder, other)
    (tmp_path / "w").write_text("1")
    embedder.weights = [str(tmp_path / "w")]
    assert hash_weights(embedder, TOY) == hash_weights(embedder, other)
