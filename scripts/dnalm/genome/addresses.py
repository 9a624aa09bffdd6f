"""Where a download is kept: `host/path`, under a downloads folder or a mirror."""

import hashlib
from urllib.parse import quote, unquote, urlsplit

from dnalm.errors import InputError

LONGEST_QUERY = 100  # characters; a name on disk may have 255 bytes
DIGITS = 16


def address_of(url: str) -> str:
    """Return `host/path` of a URL, the place of its copy in a mirror or a downloads folder.

    A query is a folder before the last name, which keeps its ending: `h.org/a/get?f=train` is
    `h.org/a/f=train/get`. It is quoted, and a longer one than 100 characters is the first 16
    digits of its sha256.

    Raises:
        InputError: the URL has no host or no path, or its path would leave the folder.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if parts.scheme not in {"http", "https"} or not parts.netloc or not path:
        raise InputError(f"'{url}' is not a download address; give http(s)://host/path.")
    names = path.split("/")
    if parts.query:
        names.insert(-1, _folder_of(parts.query))
    if ".." in names:
        raise InputError(f"'{url}' has '..' in its path; give the address without it.")
    return "/".join([parts.netloc, *names])


def _folder_of(query: str) -> str:
    """Return a query as the name of a folder; neither a slash nor a comma is left in it."""
    quoted = quote(query, safe="=&")  # Snakemake cuts a job's wildcards at commas
    if len(quoted) > LONGEST_QUERY:
        return hashlib.sha256(query.encode()).hexdigest()[:DIGITS]
    return quoted
