"""The one exception that is written for the person who runs the workflow."""


class InputError(ValueError):
    """Something the user gave is wrong.

    Its text is one sentence: which file, row or key, what was found there, and what to do.
    """
