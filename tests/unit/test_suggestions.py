"""What an error says of a name that is not known."""

import pytest

from dnalm.errors import InputError
from dnalm.suggestions import (
    MAX_LETTERS,
    MAX_LISTED,
    check_choice,
    closest,
    listing,
    nearest,
    nearest_first,
    refusal,
)


def test_an_unknown_name_gets_the_nearest_known_one_or_all():
    assert nearest("humn", ["mouse", "human"]) == "; did you mean 'human'?"
    assert nearest("x", ["mouse", "human"]) == "; known are mouse, human."
    assert nearest("x", []) == "; known are none."


def test_choices_are_all_listed_and_the_nearest_comes_first():
    choices = ["binary", "multiclass", "multilabel", None]
    assert refusal("multilabl", choices) == (
        "is not allowed; choose one of multilabel, multiclass, binary, None."
    )
    assert refusal(3, choices).endswith("one of binary, multiclass, multilabel, None.")


def test_names_most_like_a_wrong_one_come_first_and_none_twice():
    contigs = [f"chr{i}" for i in range(1, 23)]
    assert nearest_first("chr21x", contigs)[0] == "chr21"
    assert sorted(nearest_first("chr21x", contigs)) == sorted(contigs)
    assert nearest_first("?", contigs) == contigs
    assert nearest_first(3, [1, "a", 1, None]) == [1, "a", None]


def test_a_long_list_is_cut_and_so_are_long_names():
    assert listing(["a", "b" * 100, "c"]) == f"a, {'b' * MAX_LETTERS}..., c"
    assert listing(range(MAX_LISTED)) == ", ".join(map(str, range(MAX_LISTED)))
    assert listing(range(MAX_LISTED + 1)).endswith(f"{MAX_LISTED - 1}, ...")


def test_the_closest_names_stand_for_the_others():
    contigs = [f"chr{i}" for i in range(1, 9)]
    assert closest("chr3x", contigs, 1) == ["chr3"]
    assert closest("?", contigs, 2) == ["chr1", "chr2"]


def test_a_wrong_choice_is_one_sentence_with_key_value_and_choices():
    check_choice("keep", "last", ("best", "last"))
    with pytest.raises(InputError, match=r"^keep: 'lst' is not allowed; choose one of last, best"):
        check_choice("keep", "lst", ("best", "last"))


def test_a_name_that_goes_on_is_nearer_than_one_of_like_length():
    known = ["published.500m-1000g", "published.v2-500m-multi", "published.v2-50m-multi"]
    assert nearest("published.v2-50m", known) == "; did you mean 'published.v2-50m-multi'?"
    assert nearest("published.v2-500", known) == "; did you mean 'published.v2-500m-multi'?"
    assert nearest("pub", known).startswith("; known are ")
