"""Where a download is kept: `host/path`, under a downloads folder or a mirror."""

from urllib.parse import unquote, urlsplit

from dnalm.errors import InputError


def address_of(url: str) -> str:
    """Return `host/path` of a URL, the place of its copy in a mirror or a downloads folder.

    Raises:
        InputError: the URL has no host or no path, or its path would leave the folder.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if parts.scheme not in {"http", "https"} or not parts.netloc or not path:
        raise InputError(f"'{url}' is not a download address; give http(s)://host/path.")
    if ".." in path.split("/"):
        raise InputError(f"'{url}' has '..' in its path; give the address without it.")
    return f"{parts.netloc}/{path}"
