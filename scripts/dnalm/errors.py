"""The exceptions that are written for the person who runs the workflow."""

from dnalm.credentials import hide_passwords


class InputError(ValueError):
    """Something the user gave is wrong.

    Its text is one sentence: which file, row or key, what was found there, and what to do. URLs in
    it lose their passwords.
    """

    def __init__(self, sentence: object) -> None:
        super().__init__(hide_passwords(str(sentence)))


class NoSpaceError(InputError):
    """A file system has no room for a file; another address or attempt would not help."""
