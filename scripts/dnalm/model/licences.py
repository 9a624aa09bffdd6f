"""Licences of weights, in the words that the cards of the Hugging Face hub know."""

from typing import Any

# Of those at https://huggingface.co/docs/hub/repositories-licenses, what weights often have.
IDENTIFIERS = (
    *("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "unlicense"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "unknown"),
)
UNKNOWN, OTHER = "unknown", "other"


def licence_keys(licence: str | None) -> dict[str, Any]:
    """Return the keys of a card's front matter that name a licence, `CC BY-NC 4.0` for example."""
    if licence is None:
        return {"license": UNKNOWN}
    identifier = "-".join(licence.lower().replace("_", "-").split())
    if identifier in IDENTIFIERS:
        return {"license": identifier}
    return {"license": OTHER, "license_name": licence}
