"""What an error says of a name or value that is not known: which ones are, the nearest first."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from dnalm.errors import InputError

MAX_LISTED = 12  # names in one sentence
MAX_LETTERS = 60  # of one of them
SHORTEST_BEGINNING = 4  # letters that say which longer name is meant


def closest(name: str, known: Iterable[str], count: int) -> list[str]:
    """Return the known names most like `name`, at most `count`; the first ones if none is."""
    known = list(map(str, known))
    return difflib.get_close_matches(str(name), known, n=count) or known[:count]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence on an unknown name: the nearest known one, or the known ones.

    Names that go on where the unknown one ends are nearest, however long they are.
    """
    name, known = str(name), list(known)
    longer = [one for one in known if len(name) >= SHORTEST_BEGINNING and one.startswith(name)]
    close = longer[:1] or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {listing(known)}."


class Needed(dict[str, Any]):
    """What a run needs, by name; InputError, with the names most like it, for any other name."""

    def __init__(self, key: str, entries: Mapping[str, Any]) -> None:
        """Take the entries of `key` of the configuration that a run needs."""
        super().__init__(entries)
        self.key = key

    def __missing__(self, name: str) -> Any:
        """Raise InputError: Snakemake asks for a file of any name below the results."""
        raise InputError(f"{self.key}: this run needs no '{name}'{nearest(name, self)}")


def listing(values: Iterable[Any]) -> str:
    """Return a comma-separated list of at most `MAX_LISTED` values, long ones shortened."""
    values = [str(value) for value in values]
    more = ", ..." if len(values) > MAX_LISTED else ""
    return ", ".join(map(_shortened, values[:MAX_LISTED])) + more or "none"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[:MAX_LETTERS]}..."


def nearest_first(value: Any, choices: Iterable[Any]) -> list[Any]:
    """Return different choices, those that are most like a wrong value first."""
    choices = list(choices)
    texts = [choice for choice in choices if isinstance(choice, str)]
    near = difflib.get_close_matches(value, texts, n=MAX_LISTED) if isinstance(value, str) else []
    return list(dict.fromkeys([*near, *choices]))


def refusal(value: Any, choices: Iterable[Any]) -> str:
    """Return the end of a sentence that begins with a wrong value: the choices, nearest first."""
    return f"is not allowed; choose one of {listing(nearest_first(value, choices))}."


def check_choice(key: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise InputError, with the choices, when the value of a key is none of them."""
    choices = list(choices)
    if value not in choices:
        raise InputError(f"{key}: {value!r:.80} {refusal(value, choices)}")
