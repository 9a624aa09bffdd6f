"""Tokens of a task's sequences and their batches."""

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.token_batches import TokenRows, name_rows

VOCABULARY = Vocabulary(6, "v2")


def make_rows(lengths: list[int], max_tokens: int = 100) -> TokenRows:
    names = [f"row.{i}" for i in range(len(lengths))]
    return TokenRows(["A" * length for length in lengths], names, VOCABULARY, max_tokens)


def test_a_batch_is_padded_on_the_right_and_says_so():
    tokens, padded = make_rows([12, 6]).batch([0, 1])
    # <cls> 3, AAAAAA 6, <pad> 1.
    assert tokens.tolist() == [[3, 6, 6], [3, 6, 1]]
    assert padded
    assert not make_rows([12, 12]).batch([0, 1])[1]


def test_batches_hold_every_row_once_and_never_more_tokens_than_asked_for():
    generator = np.random.default_rng(0)
    rows = make_rows(generator.integers(1, 500, 300).tolist())
    chosen = np.flatnonzero(generator.random(300) < 0.7)
    batches = list(rows.by_length(chosen, 256))
    assert sorted(np.concatenate(batches).tolist()) == chosen.tolist()
    assert all(rows.lengths[batch].max() * len(batch) <= 256 for batch in batches)


def test_lists_side_by_side_give_as_many_rows_each_until_the_longest_has_ended():
    generator = np.random.default_rng(0)
    rows = make_rows(generator.integers(1, 500, 300).tolist())
    lists = [rows.longest_first(np.arange(start, end)) for start, end in ((0, 90), (50, 300))]
    found: list[list[np.ndarray]] = [[], []]
    for batches in rows.side_by_side(lists, 512):
        assert len(batches[0]) == len(batches[1])
        longest = max(rows.lengths[own].max() for own in batches)
        assert longest * 2 * len(batches[0]) <= 512
        for own, batch in zip(found, batches, strict=True):
            own.append(batch)
    for own, wanted in zip(found, lists, strict=True):
        dealt = np.concatenate(own).tolist()
        assert dealt[: len(wanted)] == wanted.tolist()
        assert set(dealt[len(wanted) :]) <= {wanted[-1]}


def test_a_sequence_longer_than_a_batch_is_a_batch_of_its_own():
    assert [batch.tolist() for batch in make_rows([60, 6]).by_length(np.arange(2), 4)] == [[0], [1]]


def test_shuffled_batches_deal_every_row_once_before_any_comes_again():
    rows = np.array([3, 5, 7, 8, 9])
    batches = TokenRows.shuffled(rows, 2, np.random.default_rng(1))
    dealt = np.concatenate([next(batches) for _ in range(10)])
    for start in range(0, 20, 5):
        assert sorted(dealt[start : start + 5].tolist()) == rows.tolist()


def test_a_sequence_longer_than_the_context_is_named_with_what_to_do():
    with pytest.raises(
        InputError, match=r"row\.1 has 66 bases, which make 12 tokens.* 11 tokens: cut the"
    ):
        make_rows([6, 66, 6], max_tokens=11)


def test_rows_of_a_task_are_named_by_their_id_and_their_origin():
    table = pd.DataFrame({"id": ["train.0"], "provenance": ["data/x.csv, row 1"]})
    assert name_rows(table) == ["train.0 (data/x.csv, row 1)"]


def test_every_n_is_a_token_and_counts_against_the_context():
    with pytest.raises(InputError, match=r"row x has 12 bases, which make 13 tokens"):
        TokenRows(["N" * 12], ["x"], VOCABULARY, 12)
