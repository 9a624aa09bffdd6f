"""ftp addresses become https addresses where the host has both, and the same ones everywhere."""

import pytest

from dnalm.configuration.resolve import merge_downloads
from dnalm.download.addresses import HTTPS_HOSTS, address_of, web_url
from dnalm.errors import InputError

NCBI = "ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000/146/045/x.fna.gz"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"ftp://{NCBI}", f"https://{NCBI}"),
        (f"FTP://anonymous:me@{NCBI}", f"https://{NCBI}"),
        (f"ftp://{NCBI}".replace("gov/", "gov:21/"), f"https://{NCBI}"),
        (f"https://{NCBI}", f"https://{NCBI}"),
        (f"http://{NCBI}", f"http://{NCBI}"),
        ("ftp://ftp.ensembl.org/pub/a%20b.gz", "https://ftp.ensembl.org/pub/a%20b.gz"),
        ("ftp://ftp.ensemblgenomes.org/pub/x", "https://ftp.ensemblgenomes.ebi.ac.uk/pub/x"),
    ],
)
def test_an_ftp_address_of_a_host_with_both_becomes_https(url, expected):
    assert web_url(url) == expected
    assert address_of(url) == address_of(expected)


@pytest.mark.parametrize("host", HTTPS_HOSTS)
def test_every_known_host_is_asked_by_a_name_that_is_known_itself(host):
    assert web_url(f"ftp://{host}/x") == f"https://{HTTPS_HOSTS[host]}/x"
    assert HTTPS_HOSTS[HTTPS_HOSTS[host]] == HTTPS_HOSTS[host]


@pytest.mark.parametrize("url", ["ftp://h.org/x.gz", f"ftp://{NCBI}".replace("gov/", "gov:2121/")])
def test_another_ftp_host_is_refused_with_what_to_do(url):
    with pytest.raises(
        InputError, match=r"not known to serve its files by https too; give an http"
    ):
        address_of(url)


@pytest.mark.parametrize("url", ["https://[h.org/x", "https://h.org:port/x", "ftp://", "x.fa.gz"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError, match="is not a download address"):
        web_url(url)


def test_a_password_is_no_part_of_where_a_file_is_kept():
    assert address_of("https://me:secret@h.org:8080/x.gz") == "h.org:8080/x.gz"


def test_requests_for_one_file_by_ftp_and_by_https_are_one_download():
    requests = [
        {"urls": [f"{scheme}://{NCBI}"], "sha256": None, "md5": None} for scheme in ("ftp", "https")
    ]
    assert merge_downloads(requests) == {NCBI: requests[1]}


@pytest.mark.parametrize(
    "start", ["ftp://", "httpz://user:secret@", "httpsn://", "http://h.org/\0"]
)
def test_of_an_endless_address_the_beginning_is_shown(start):
    url = start + "a b " * 200 + "@h.org/x"
    with pytest.raises(InputError) as refused:
        address_of(url)
    assert len(str(refused.value)) < 650
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["htt\np://h.org/a", "http://h.org/a\tb", "http://h.org/\ra", " http://h.org/a"]
)
def test_an_address_of_several_lines_is_none(url):
    for read in (web_url, address_of):
        with pytest.raises(InputError, match="is not a download address"):
            read(url)
