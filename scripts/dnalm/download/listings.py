"""Lists of what was fetched of a hub's repositories, and where these files lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.errors import InputError
from dnalm.files import read_json

LISTING = "listing"  # the name of such a list among a rule's inputs


def locate_inputs(inputs: Mapping[str, Any], downloads: str | Path) -> dict[str, Any]:
    """Return a rule's inputs by name, those of its `listing` in the place of this.

    Of a model these are weights, settings and vocabulary, of a task train and test. All are below
    `downloads`. Raises InputError where one of them is gone.
    """
    named = dict(inputs.items())
    if LISTING not in named:
        return named
    path = named.pop(LISTING)
    files = read_json(path)["files"]
    located = {role: [str(Path(downloads) / one) for one in own] for role, own in files.items()}
    for one in (path for own in located.values() for path in own):
        if not Path(one).exists():
            raise InputError(f"{one} is gone; remove {path}, and it is fetched again.")
    alone = {role: located[role][0] for role in ("settings", "vocabulary") if role in located}
    return {**named, **located, **alone}


def read_commit(inputs: Mapping[str, Any]) -> str | None:
    """Return the commit of a rule's `listing`, None where there is none or it is unknown."""
    path = dict(inputs.items()).get(LISTING)
    return read_json(path)["commit"] if path else None


def list_fetched(path: str | Path) -> list[str]:
    """Return the addresses of all files of a list, none while it does not exist."""
    if not Path(path).exists():
        return []
    files = read_json(path)["files"]
    return list(dict.fromkeys(address for own in files.values() for address in own))
