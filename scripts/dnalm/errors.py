"""The exceptions that are written for the person who runs the workflow."""

import re

from dnalm.jobs.credentials import hide_passwords

# Longer than any name in a file system: of what was found in a damaged file the start is enough.
LONG_WORD = re.compile(r"[^\s/]{256,}")
SHOWN_LETTERS = 80
# An address or a path of which both ends are shown: where it begins, and the file's name.
LONG_PATH = re.compile(r"\S{401,}")
SHOWN_OF_PATH = (200, 150)
# Something in quotes that is many words: of these, too, the start is enough.
QUOTED = re.compile(r"(?<!\w)(['\"])((?:(?!\1).){161,})\1(?!\w)")


class InputError(ValueError):
    """Something the user gave is wrong.

    Its text is one sentence: which file, row or key, what was found there, and what to do. URLs in
    it lose their passwords; of what was found, letters that cannot be printed are escaped and words
    without end cut short, so that it is one line whatever a file holds.
    """

    def __init__(self, sentence: object) -> None:
        super().__init__(shorten(hide_passwords(str(sentence))))


def shorten(text: str) -> str:
    """Return a text as one line of letters that can be printed, very long words cut short."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    text = LONG_WORD.sub(lambda word: f"{word[0][:SHOWN_LETTERS]}...", text)
    first, last = SHOWN_OF_PATH
    text = LONG_PATH.sub(lambda word: f"{word[0][:first]}...{word[0][-last:]}", text)
    return QUOTED.sub(_shorten_quoted, text)


def _shorten_quoted(found: re.Match) -> str:
    quote, text = found.groups()
    return f"{quote}{text[:SHOWN_LETTERS]}...{quote}" if " " in text else found[0]


class NoSpaceError(InputError):
    """A file system has no room for a file; another address or attempt would not help."""
