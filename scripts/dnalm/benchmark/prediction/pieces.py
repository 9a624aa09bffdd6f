"""What of a row is given to a model: letters of DNA alone, as many as it reads; crops and tiles."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from dnalm.benchmark.prediction.sources import Row
from dnalm.errors import InputError
from dnalm.genome.letters import IUPAC, clean_sequence
from dnalm.model.token_batches import CENTRE, REFUSE, Limits, middle
from dnalm.suggestions import check_choice

DROP, MASK, TILES = "drop", "mask", "tiles"
CHOICES = {
    "other_letters": (REFUSE, DROP, MASK),
    "too_short": (REFUSE, DROP),
    "too_long": (REFUSE, DROP, CENTRE, TILES),
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What happens to rows that a model cannot read as they are, part of the section `prediction`.

    A row of fewer than `min_bases` is too short; one that makes more tokens than the model reads,
    or has more than `max_bases` (None: no such limit), too long. Tiles share `tile_overlap` bases
    with the next one, or more.
    """

    other_letters: str
    too_short: str
    too_long: str
    min_bases: int
    max_bases: int | None
    tile_overlap: int

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            check_choice(f"prediction.{key}", getattr(self, key), allowed)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The parts of a row that are predicted, none where it is left out; `starts` is their places.

    `bases` counts those of the row. `note` says what was not as usual, "" of most rows; `uracil`
    counts letters U, read as T.
    """

    row: Row
    bases: int
    texts: tuple[str, ...]
    starts: tuple[int, ...]
    note: str
    uracil: int


def cut_pieces(row: Row, rules: Rules, limits: Limits) -> Pieces:
    """Return what of a row is to be predicted; InputError names a row that the rules refuse."""
    cleaned = clean_sequence(row.sequence)
    bases, foreign, named = len(cleaned.text), cleaned.foreign, _name(row)
    if foreign and rules.other_letters != MASK:
        _refuse(
            rules.other_letters == REFUSE,
            f"{named} holds {foreign[0]!r} in its sequence: write DNA with the letters A, C, G, T,"
            f" N or an IUPAC code ({IUPAC}), or set `other_letters` of the prediction to drop (such"
            " rows) or mask (such letters as N).",
        )
        return _left_out(row, bases, f"{foreign[0]!r} is no code of DNA")
    if bases < max(1, rules.min_bases):
        _refuse(
            rules.too_short == REFUSE,
            f"{named} has {bases} bases, fewer than the {max(1, rules.min_bases)} that are asked"
            " for: remove the row, or set `too_short` of the prediction to drop, or `min_bases`.",
        )
        return _left_out(row, bases, f"{bases} bases are too few")
    notes = [f"{len(foreign)} letters are read as N"] if foreign else []
    text = cleaned.masked
    tokens = limits.count_tokens(text)
    most = min(limits.bases, rules.max_bases or limits.bases)
    texts, starts = (text,), (0,)
    if tokens > limits.max_tokens or bases > most:
        _refuse(
            rules.too_long == REFUSE,
            f"{named} has {bases:,} bases, which make {tokens:,} tokens with <cls>, more than the"
            f" {min(most, bases):,} bases or {limits.max_tokens:,} tokens that are read: cut it, or"
            " set `too_long` of the prediction to centre, tiles or drop.",
        )
        if rules.too_long == DROP:
            return _left_out(row, bases, f"{bases} bases are too many")
        place = middle if rules.too_long == CENTRE else partial(_tiles, overlap=rules.tile_overlap)
        texts, starts = limits.cut(text, most, place)
        notes.append(
            f"the middle {len(texts[0])} of {bases} bases"
            if rules.too_long == CENTRE
            else f"{len(texts)} tiles of {len(texts[0])} of {bases} bases"
        )
    return Pieces(
        row=row,
        bases=bases,
        texts=texts,
        starts=starts,
        note="; ".join(notes),
        uracil=cleaned.uracil,
    )


def _name(row: Row) -> str:
    return f"row {row.id} ({row.place})"


def _refuse(refused: bool, sentence: str) -> None:
    if refused:
        raise InputError(sentence)


def _left_out(row: Row, bases: int, why: str) -> Pieces:
    return Pieces(row=row, bases=bases, texts=(), starts=(), note=f"left out: {why}", uracil=0)


def _tiles(bases: int, size: int, overlap: int) -> tuple[int, ...]:
    """Return evenly spaced starts, the first tile at the left end and the last at the right."""
    count = 1 + -(-(bases - size) // max(1, size - overlap))
    return tuple(int(start) for start in np.linspace(0, bases - size, count).round())
