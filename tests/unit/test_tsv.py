"""Tables between tabs are read with pandas, or refused in one sentence with what to do."""

import pytest

from dnalm.errors import InputError
from dnalm.tsv import read_tsv


def read(path, text: bytes):
    path.write_bytes(text)
    return read_tsv(path, ["name"], numbers=["value"], whole=["rows"], remedy="make it anew")


def test_a_table_is_read_with_its_types(tmp_path):
    table = read(tmp_path / "t.tsv", b"name\tvalue\trows\na\t0.5\t7\nb\t\t8\n")
    assert table["name"].tolist() == ["a", "b"]
    assert table["value"].isna().tolist() == [False, True]
    assert table["rows"].tolist() == [7, 8]
    assert read(tmp_path / "t.tsv", b"name\tvalue\trows\n").empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no table that can be read"),
        (b"\xce", "no table that can be read"),
        (b"name\tvalue\trows\na\t1\t2\na\t1\t2\t3\n", "no table that can be read"),
        (b"name\tvalue\na\t1\n", "the column rows is missing"),
        (b'name\tvalue\trows\na\t0"\t1\n', "a cell of the column value is not a number"),
        (b"name\tvalue\trows\na\t1\t1.5\n", "a cell of the column rows is not a whole number"),
    ],
)
def test_a_damaged_table_is_one_sentence_with_the_remedy(tmp_path, text, said):
    path = tmp_path / "t.tsv"
    with pytest.raises(InputError, match=said) as refused:
        read(path, text)
    assert str(refused.value).startswith(f"{path}: ")
    assert str(refused.value).endswith("; make it anew.")
    assert "\n" not in str(refused.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"t\.tsv: No such file"):
        read_tsv(tmp_path / "t.tsv")
