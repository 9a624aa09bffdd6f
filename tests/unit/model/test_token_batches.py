"""Tokens of a task's sequences and their batches."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.prediction.pieces import Rules, cut_pieces
from dnalm.benchmark.prediction.sources import Row
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.token_batches import Limits, TokenRows, crop_long, name_rows

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


def test_the_middle_of_what_is_too_long_is_read_as_predictions_read_it():
    draw = np.random.default_rng(1)
    limits = Limits(vocabulary=Vocabulary(2, "v2"), max_tokens=40)
    rules = Rules(
        other_letters="refuse",
        too_short="refuse",
        too_long="centre",
        min_bases=1,
        max_bases=None,
        tile_overlap=0,
    )
    shares = [0.23, 0.23, 0.23, 0.23, 0.08]
    lengths = draw.integers(20, 200, 200)
    sequences = ["".join(draw.choice(list("ACGTN"), size, p=shares)) for size in lengths]
    kept, cropped = crop_long(sequences, limits, "centre")
    for text, middle, changed in zip(sequences, kept, cropped, strict=True):
        row = Row(id="a", sequence=text, place="here", columns={})
        assert cut_pieces(row, rules, limits).texts == (middle,)
        assert changed == (limits.count_tokens(text) > 40) == (text != middle)
        start = (len(text) - len(middle)) // 2
        assert text[start : start + len(middle)] == middle
    assert 20 < cropped.sum() < 200
    TokenRows(kept, sequences, limits.vocabulary, 40)  # which all fit
    assert crop_long(sequences, limits, "refuse")[0] == sequences
