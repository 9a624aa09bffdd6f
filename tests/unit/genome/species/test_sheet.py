"""A genome sheet is read in file order, and a row that cannot be used is named."""

import hashlib

import pytest

from dnalm.download.addresses import address_of
from dnalm.errors import InputError
from dnalm.genome.species.sheet import read_sheet

HEADER = "name\taccession\tgroup\turl\tpath\n"


SUMS = "name\tpath\tsha256\tmd5\n"
NCBI = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000"
HUMAN = f"{NCBI}/001/405/GCF_000001405.40_GRCh38.p14/GCF_000001405.40_GRCh38.p14_genomic.fna.gz"
YEAST = f"{NCBI}/146/045/GCF_000146045.2_R64/GCF_000146045.2_R64_genomic.fna.gz".replace(
    "https", "ftp"
)


def read(folder, text, name="genomes.tsv"):
    """Return the genomes of a sheet of this text."""
    (folder / name).write_text(text)
    return read_sheet(folder / name)


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
    "text",
    [
        f"{YEAST}\n{HUMAN}\n",
        f"# the list\n\n  {YEAST}  \r\n# then\n{HUMAN}",
        f"url\n{YEAST}\n{HUMAN}\n",
        f"URL\n{YEAST}\n{HUMAN}\n",
        f'"urls"\n"{YEAST}"\n"{HUMAN}"\n',
        f",url\n0,{YEAST}\n1,{HUMAN}\n",
        f"{YEAST},\n{HUMAN},\n",
        f"\ufeff{YEAST}\n{HUMAN}\n",
    ],
    ids=["list", "comments", "header", "capital", "quoted", "index", "comma", "byte order mark"],
)
def test_a_list_of_urls_is_a_sheet_in_its_order_with_ncbis_accessions_as_names(tmp_path, text):
    genomes = read(tmp_path, text, "urls.csv")
    assert list(genomes.items()) == [
        ("GCF_000146045.2", {"accession": "GCF_000146045.2", "url": YEAST}),
        ("GCF_000001405.40", {"accession": "GCF_000001405.40", "url": HUMAN}),
    ]


def test_commas_separate_the_cells_of_a_table_as_tabs_do(tmp_path):
    text = f'name,species,url\nyeast,"Saccharomyces, brewer\'s",{YEAST}\n,Homo sapiens,{HUMAN}\n'
    assert read(tmp_path, text, "genomes.csv") == {
        "yeast": {"species": "Saccharomyces, brewer's", "url": YEAST},
        "GCF_000001405.40": {
            "accession": "GCF_000001405.40",
            "species": "Homo sapiens",
            "url": HUMAN,
        },
    }


def test_a_file_that_is_not_ncbis_is_called_by_its_name_and_two_of_one_name_stay_apart(tmp_path):
    urls = [
        "https://h.org/a/Homo_sapiens.GRCh38.dna.fa.gz",
        "https://h.org/a/odd%20name+(1)..fasta",
        "https://h.org/a/genome.fna",
        "https://h.org/b/genome.fna",
    ]
    names = list(read(tmp_path, "\n".join(urls)))
    assert names[:3] == ["Homo_sapiens.GRCh38.dna", "odd_name_1", "genome"]
    assert names[3] == "genome-" + hashlib.sha256(urls[3].encode()).hexdigest()[:8]
    moved = list(read(tmp_path, "\n".join(["https://h.org/new.fa", *urls])))
    assert moved[1:] == names


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"{HUMAN}\nGCF_000146045.2\n", ":2: 'GCF_000146045.2' is not an address of a file"),
        (f"{HUMAN}\n\nfile:///etc/passwd\n", ":3: 'file:///etc/passwd' is not an address"),
        (f"{HUMAN} human\n", "human' is not an address"),
        (f"{HUMAN},human\n", ":1: the row has 1 cells more than the 1 columns"),
        (f"{HUMAN}\n{HUMAN.replace('https', 'ftp')}\n", "is listed in line 1 too"),
        (f"{HUMAN}\n{HUMAN.replace('/all/', '/x/')}\n", ":2: 'GCF_000001405.40' is listed twice"),
        ("GCF_000001405.40\n", "begins with a URL"),
        (f"url\tURL\n{HUMAN}\t\n", ":1: the column 'url' is there twice"),
        ("# nothing\n\n", "no rows"),
        ("", "no rows"),
        (HEADER + "a\t\t\tx.fa\t\n", ":2: 'x.fa' is not an address"),
        (HEADER + "\t\t\t\tx.fa\n", ":2: the name ''"),
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
        ("http://[::1/x.fa\n", ":1: 'http://[::1/x.fa' is not an address of a file"),
        ("http://[zz]/x.fa\n", "is not an address of a file"),
        ("http://h.org:99999/x.fa\n", "is not an address of a file"),
        ("http://h.org:x/x.fa\n", "is not an address of a file"),
        (f"name,path\n{'n' * 300},x.fa\n", "has 300 letters; give one of at most 200"),
        (f"http://h.org/{'n' * 300}.fa\n", "has 300 letters; give one of at most 200"),
        ("name,path\na,x\0y\n", "the sheet is not text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, text, part):
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text(text)
    with pytest.raises(InputError, match=r"genomes\.tsv") as error:
        read_sheet(sheet)
    assert part in str(error.value)


def test_a_cell_may_be_long_and_an_address_ipv6(tmp_path):
    url = f"http://h.org/{'x' * 140_000}.fa"
    assert read(tmp_path, f"name,url\na,{url}\n")["a"]["url"] == url
    assert list(read(tmp_path, "http://[::1]:80/x.fa\n")) == ["x"]


def test_a_name_that_is_too_long_for_a_file_is_a_sentence():
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\)"):
        read_sheet("x" * 300)


def test_a_folder_is_no_sheet(tmp_path):
    with pytest.raises(InputError, match=r"the sheet cannot be read \(Is a directory\)"):
        read_sheet(tmp_path)


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
