"""Tokens of any sequence against the rule in plain Python, and the sequence that they join to."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dnalm.genome.kmers import (
    MAX_K,
    SPECIALS,
    Vocabulary,
    bases_per_token,
    encode,
    encode_windows,
    to_codes,
    to_sequence,
)
from dnalm.interface import tokenize

SEQUENCES = st.text("ACGTN", max_size=90) | st.text("ACGT", max_size=90)
VOCABULARIES = st.builds(Vocabulary, st.integers(2, MAX_K), st.sampled_from(sorted(SPECIALS)))


def cut(sequence, k):
    """Return the tokens of a sequence: k-mers from the left end of each piece between two N."""
    tokens = ["<cls>"]
    for number, piece in enumerate(sequence.split("N")):
        tokens += ["N"] if number else []
        whole = len(piece) // k * k
        tokens += [piece[start : start + k] for start in range(0, whole, k)]
        tokens += list(piece[whole:])
    return tokens


def name(ids, vocabulary):
    """Return the tokens of ids. With k = 1 a k-mer and a single base are one text of two ids."""
    kmers = ["".join(letters) for letters in product("ATCG", repeat=vocabulary.k)]
    tokens = [*SPECIALS[vocabulary.version], *kmers, *"ATCGN"]
    return [tokens[number] for number in ids]


@given(SEQUENCES, VOCABULARIES)
def test_tokens_are_those_of_the_rule_and_join_to_the_sequence(sequence, vocabulary):
    ids = encode(to_codes(sequence), vocabulary)
    assert name(ids, vocabulary) == cut(sequence, vocabulary.k)
    assert "".join(name(ids, vocabulary)[1:]) == sequence
    assert bases_per_token(ids, vocabulary).sum() == len(sequence)


@given(st.text("ACGTNacgtnUuRYSWKMBDHVryswkmbdhv", min_size=1, max_size=60), VOCABULARIES)
def test_letters_of_a_person_are_read_in_either_case_u_as_t_and_codes_of_several_as_n(
    sequence, vocabulary
):
    (ids,) = tokenize([sequence], k=vocabulary.k, vocabulary=vocabulary.version)
    upper = sequence.upper().replace("U", "T")
    read = "".join(letter if letter in "ACGT" else "N" for letter in upper)
    assert name(ids, vocabulary) == cut(read, vocabulary.k)


@given(st.integers(1, 40), VOCABULARIES, st.data())
def test_windows_are_tokenised_together_as_each_alone(length, vocabulary, data):
    sequence = st.text("ACGTN", min_size=length, max_size=length)
    rows = data.draw(st.lists(sequence | st.just("A" * length), min_size=1, max_size=40))
    most = 1 + length // vocabulary.k + length % vocabulary.k
    tokens = data.draw(st.integers(1, most))
    found = encode_windows(np.stack([to_codes(row) for row in rows]), vocabulary, tokens)
    for row, ids in zip(rows, found, strict=True):
        assert name(ids, vocabulary) == cut(row, vocabulary.k)[:tokens]


@given(st.text(max_size=50))
def test_codes_keep_what_is_a_base_and_make_n_of_the_rest(text):
    expected = "".join(letter if letter in "ACGTacgt" else "N" for letter in text).upper()
    assert to_sequence(to_codes(text)) == expected
