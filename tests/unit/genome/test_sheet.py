"""A genome sheet is read in file order, and a row that cannot be used is named."""

import hashlib

import pytest

from dnalm.errors import InputError
from dnalm.genome.addresses import address_of
from dnalm.genome.sheet import read_sheet

HEADER = "name\taccession\tgroup\turl\tpath\n"


SUMS = "name\tpath\tsha256\tmd5\n"


def test_checksums_are_read_as_they_stand(tmp_path):
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text(SUMS + f"a\tx\t{'0aF9' * 16}\t{'1b' * 16}\n")
    assert read_sheet(sheet)["a"] == {"path": "x", "sha256": "0aF9" * 16, "md5": "1b" * 16}


def test_rows_keep_their_order_and_lose_their_empty_cells(tmp_path):
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text(HEADER + "b\tGCF_1\tFungi\thttps://h/x.fa.gz\t\na\t\t\t\tlocal.fa\n")
    genomes = read_sheet(sheet)
    assert list(genomes) == ["b", "a"]
    assert genomes["b"] == {"accession": "GCF_1", "group": "Fungi", "url": "https://h/x.fa.gz"}
    assert genomes["a"] == {"path": "local.fa"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (HEADER, "no rows"),
        ("name\tcolour\tpath\na\tred\tx\n", "'colour'"),
        (HEADER + "a/b\t\t\t\tx\n", ":2: the name 'a/b'"),
        (HEADER + "a\t\t\t\t\n", ":2: 'a' needs"),
        (HEADER + "a\t\t\t\tx\na\t\t\t\ty\n", ":3: 'a' is listed twice"),
        (HEADER + "\na\t\t\t\tx\n\na\t\t\t\ty\n", ":5: 'a' is listed twice"),
        (HEADER + "a\t\t\t\tx\ty\tz\n", ":2: the row has 2 cells more than the 5 columns"),
        (SUMS + f"a\tx\t{'0' * 63}\t\n", ":2: the sha256 of 'a' is '000"),
        (SUMS + f"a\tx\t{'g' * 64}\t\n", "give its 64 hexadecimal digits"),
        (SUMS + f"a\tx\t\t{'0' * 64}\n", ":2: the md5 of 'a' is '0000"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, text, part):
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text(text)
    with pytest.raises(InputError, match=r"genomes\.tsv") as error:
        read_sheet(sheet)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://ftp.example.org/a/b%20c.fa.gz#top", "ftp.example.org/a/b c.fa.gz"),
        ("https://h.org/a/get?f=train", "h.org/a/f=train/get"),
        ("https://h.org/b.fa.gz?f=a/b&g=1,2", "h.org/f=a%2Fb&g=1%2C2/b.fa.gz"),
        (f"https://h.org/b?{'x' * 100}", f"h.org/{'x' * 100}/b"),
        (
            f"https://h.org/b?{'x' * 101}",
            f"h.org/{hashlib.sha256(b'x' * 101).hexdigest()[:16]}/b",
        ),
    ],
)
def test_an_address_is_host_and_path_with_the_query_before_the_last_name(url, address):
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "https://host",
        "https://host/../../x",
        "https://host/x?..",
        "ftp://host/x",
    ],
)
def test_an_address_that_is_no_download_is_refused(url):
    with pytest.raises(InputError):
        address_of(url)
