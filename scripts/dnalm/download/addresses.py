"""Addresses of downloads: their URLs, and `host/path`, their place in a folder or mirror."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from dnalm.download.disk_space import is_writable
from dnalm.errors import InputError
from dnalm.jobs.credentials import drop_secrets, hide_passwords

MAX_QUERY_CHARACTERS = 100  # a file name may have 255 bytes
MAX_NAME_BYTES = 180  # those of temporaries beside it are longer
QUERY_HASH_DIGITS = 16
MAX_SHOWN = 200  # letters of an address in a sentence
# Hosts that are usually given as ftp:// and serve the same paths by https, with the https host:
# the certificate of ensemblgenomes.org is not for the name ftp.ensemblgenomes.org.
HTTPS_HOSTS = {
    "ftp.1000genomes.ebi.ac.uk": "ftp.1000genomes.ebi.ac.uk",
    "ftp.ebi.ac.uk": "ftp.ebi.ac.uk",
    "ftp.ensembl.org": "ftp.ensembl.org",
    "ftp.ensemblgenomes.ebi.ac.uk": "ftp.ensemblgenomes.ebi.ac.uk",
    "ftp.ensemblgenomes.org": "ftp.ensemblgenomes.ebi.ac.uk",
    "ftp.flybase.net": "ftp.flybase.net",
    "ftp.ncbi.nlm.nih.gov": "ftp.ncbi.nlm.nih.gov",
    "ftp.sanger.ac.uk": "ftp.sanger.ac.uk",
    "hgdownload.cse.ucsc.edu": "hgdownload.cse.ucsc.edu",
    "hgdownload.soe.ucsc.edu": "hgdownload.soe.ucsc.edu",
}


def web_url(url: str) -> str:
    """Return the http(s) URL of a download: its own, or for ftp:// that of a host that has both.

    Raises:
        InputError: the URL is neither, or has no host or path.
    """
    parts = _split(url)
    if parts.scheme in {"http", "https"}:
        return url
    host = HTTPS_HOSTS.get(parts.hostname or "")
    if parts.scheme != "ftp" or host is None or parts.port not in {None, 21}:
        raise InputError(_address_error(url, parts))
    return parts._replace(scheme="https", netloc=host).geturl()


def address_of(url: str) -> str:
    """Return `host/path` of a URL, the place of its copy in a mirror or a downloads folder.

    It is that of `web_url`. A query is a folder before the last name, which keeps its ending:
    `h.org/a/get?f=train` is `h.org/a/f=train/get`. It is quoted, and a longer one than 100
    characters is the first 16 digits of its sha256. Passwords and tokens are no part of
    it.

    Raises:
        InputError: the URL is none of a download, or its path would leave the folder.
    """
    parts = _split(web_url(url))
    host = parts.netloc.rpartition("@")[2]
    # Braces would be wildcards of a rule.
    path = unquote(parts.path).replace("{", "%7B").replace("}", "%7D")
    names = path.strip("/").split("/")
    if query := drop_secrets(parts.query):
        names.insert(-1, _folder_name(query))
    if ".." in names or "." in names or not all((parts.hostname or "").rstrip(".").split(".")):
        raise InputError(
            f"'{_shown(url)}' has '.' or '..' for a name; give the address without it."
        )
    for name in (host, *names):
        if len(name.encode()) > MAX_NAME_BYTES or not name.isprintable():
            raise InputError(
                f"'{_shown(url)}': a name in it is longer than {MAX_NAME_BYTES} bytes, or has"
                " letters that no file is called by; get the file yourself and give its `path`."
            )
    return "/".join([host, *names])


def list_unmirrored(
    folder: str | Path, mirror: str | Path | None, downloads: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the addresses of files below `folder` of which `mirror` lacks a copy.

    `downloads` is {address: {urls, ...}}; a copy may lie there, or at the address of any of the
    URLs. None is lacking where there is no mirror or nobody can write to it.
    """
    if mirror is None or not is_writable(Path(mirror)):
        return []
    return [
        address
        for address, download in downloads.items()
        if (Path(folder) / address).exists()
        and not any(
            (Path(mirror) / one).exists() for one in (address, *map(address_of, download["urls"]))
        )
    ]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname and parts.port != 0 and unquote(parts.path).strip("/"))
        complete = (
            complete and url.isprintable() and url == url.strip()
        )  # urlsplit leaves out line ends, who asks may not
    except ValueError:  # a bracket that is not closed, a port that is no number
        complete = False
    if not complete:
        raise InputError(f"'{_shown(url)}' is not a download address; give http(s)://host/path.")
    return parts


def _address_error(url: str, parts: SplitResult) -> str:
    if parts.scheme != "ftp":
        return f"'{_shown(url)}' is not a download address; give http(s)://host/path."
    return (
        f"'{_shown(url)}' is not a download address: ftp is not spoken here and "
        f"{_shown(parts.hostname)} is not known to serve its files by https too; give an http(s)"
        " address, or fetch the file yourself and give its `path`."
    )


def _folder_name(query: str) -> str:
    """Return a query as the name of a folder; neither a slash nor a comma is left in it."""
    quoted = quote(query, safe="=&")  # Snakemake cuts a job's wildcards at commas
    if len(quoted) > MAX_QUERY_CHARACTERS:
        return hashlib.sha256(query.encode()).hexdigest()[:QUERY_HASH_DIGITS]
    return quoted


def _shown(text: str | None) -> str:
    """Return an address as a sentence shows it; its password goes first, which a cut would save."""
    text = hide_passwords(str(text))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
