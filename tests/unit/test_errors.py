"""What is told to a person is one line that can be printed, whatever a damaged file holds."""

import pytest

from dnalm.errors import InputError


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("chr\x00\x1b[31m", r"chr\x00\x1b[31m"),
        ("a\nb\r\x85\u2028", r"a\nb\r\x85\u2028"),
        ("a\ud800\u202eb", r"a\ud800\u202eb"),  # no UTF-8, and what turns the text around
        ("é 🧬 …", "é 🧬 …"),
        ("A" * 5000, "A" * 80 + "..."),
        ("A" * 255, "A" * 255),
    ],
)
def test_what_was_found_is_shown_on_one_line(found, shown):
    text = str(InputError(f"in.fa: record {found} is wrong; correct it."))
    assert text == f"in.fa: record {shown} is wrong; correct it."
    assert len(text.encode().splitlines()) == 1


def test_a_path_is_whole_and_of_an_endless_one_both_ends_are_shown():
    path = "/scratch" + "/a-folder-of-a-project" * 16 + "/in.fa"
    assert path in str(InputError(f"{path}: the file is empty; give another."))
    text = str(InputError(f"/scratch{'/a' * 2000}/in.fa: the file is empty; give another."))
    assert text.startswith("/scratch/a/a")
    assert "..." in text
    assert text.endswith("/a/a/in.fa: the file is empty; give another.")
    assert len(text) < 500


def test_of_what_stands_in_quotes_the_start_is_enough():
    words = "a b " * 100
    text = str(InputError(f"sheet.tsv: the column '{words}' isn't one of its own."))
    assert text == f"sheet.tsv: the column '{words[:80]}...' isn't one of its own."
    # Prose between two apostrophes is none.
    prose = "The genome's " + "very long " * 40 + "contig isn't here."
    assert str(InputError(prose)) == prose
