"""Credentials in URLs and headers: what is taken away before a text is shown, logged or written."""

import re

# user:password@ behind ://, up to the last @ before the path.
USER_INFORMATION = re.compile(r"(?<=://)[^/?#\s]*@")
# The same where the password holds a slash or another letter that ends a host: `user:a/b@h.org`.
# What looks like a port belongs to the host.
UNQUOTED_PASSWORD = re.compile(r"(?<=://)[^/?#\s@:]*:(?!\d+(?:[/?#]|\s|$))[^\s@]*@")
# Keys of a query whose value opens a door: a token, a signed address of a store.
SECRET_KEY = (
    r"(?:access|auth|private|api|id|refresh|download|sas)?[_-]?"
    r"(?:token|secret|password|passwd|pwd|signature|apikey|api[_-]key)"
    r"|sig|x-(?:amz|goog)-(?:signature|credential|security-token)"
)
SECRET_PARAMETER = re.compile(rf"(?i)([?&;])({SECRET_KEY})=[^&;#\s'\"]*")
# What a server repeats of a request, and tokens of the Hugging Face hub wherever they stand.
BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s'\",;]+")
HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
HIDDEN = "***"


def hide_passwords(text: str) -> str:
    """Return a text whose URLs have no user and password, and *** for the tokens of a query.

    Tokens of a header are *** as well.
    """
    text = UNQUOTED_PASSWORD.sub("", USER_INFORMATION.sub("", text))
    text = HUB_TOKEN.sub(HIDDEN, BEARER.sub(rf"\1 {HIDDEN}", text))
    return SECRET_PARAMETER.sub(rf"\1\2={HIDDEN}", text)


def drop_secrets(query: str) -> str:
    """Return the query of a URL without the parameters whose value is a secret."""
    kept = [part for part in query.split("&") if not SECRET_PARAMETER.match(f"?{part}")]
    return "&".join(kept)
