"""What a target of fuzzing is: a reader of the library, inputs for it, and an oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutations import mutate_bytes

Mutate = Callable[[bytes, Random], bytes]


def no_difference(_: Path, __: Any) -> str:
    """Return that nothing is wrong, of a reader for which nobody else's answer is at hand."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader of outside input.

    Attributes:
        read: of the file with an input and a folder for what is written; may raise InputError.
        seeds: valid inputs, each of which has to be read.
        suffix: of the input's file.
        generate: makes a valid input of about a size, from 1 on; None where none is made.
        oracle: of the file of a valid input and what was read, says how other people's code reads
            it otherwise; "" where it does not. For any input that was read with `always`.
        mutate: how seeds and valid inputs are changed.
        one_file: whether the sentence of a refusal has to name the input's file.
        spliced: whether the beginning of one input and the end of another make a third.
        weight: share of the time, beside those of others.
    """

    name: str
    read: Callable[[Path, Path], Any]
    seeds: Sequence[bytes]
    suffix: str = ".txt"
    generate: Callable[[Random, int], bytes] | None = None
    oracle: Callable[[Path, Any], str] = no_difference
    always: bool = False
    mutate: Sequence[Mutate] = (mutate_bytes,)
    one_file: bool = True
    spliced: bool = True
    weight: float = 1.0
