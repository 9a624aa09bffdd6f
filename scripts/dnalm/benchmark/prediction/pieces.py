"""What of a row is given to a model: letters of DNA alone, as many as it reads; crops and tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.prediction.sources import Row
from dnalm.errors import InputError
from dnalm.genome.letters import IUPAC, clean_sequence
from dnalm.model.token_batches import CENTRE, REFUSE, Letters, Limits, middle
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

    All have `size` bases; of tiles each is made when it is asked for. `bases` counts those of the
    row. `note` says what was not as usual, "" of most rows; `uracil` counts letters U, read as T.
    """

    row: Row
    bases: int
    texts: "Sequence[str] | _Tiles"
    starts: Sequence[int]
    size: int
    note: str
    uracil: int


@dataclass(frozen=True, kw_only=True)
class _Tiles:
    """Tiles of a sequence, one in memory at a time: it may be a whole chromosome."""

    letters: Letters
    starts: Sequence[int]
    size: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> str:
        start = int(self.starts[number])
        return self.letters[start : start + self.size]

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))


def cut_pieces(row: Row, rules: Rules, limits: Limits) -> Pieces:
    """Return what of a row is to be predicted; InputError names a row that the rules refuse."""
    named = _name(row)
    if not isinstance(row.sequence, str):
        return _cut(row, row.sequence, rules, limits, [], 0)
    cleaned = clean_sequence(row.sequence)
    foreign = cleaned.foreign
    if foreign and rules.other_letters != MASK:
        _refuse(
            rules.other_letters == REFUSE,
            f"{named} holds {foreign[0]!r} in its sequence: write DNA with the letters A, C, G, T,"
            f" N or an IUPAC code ({IUPAC}), or set `other_letters` of the prediction to drop (such"
            " rows) or mask (such letters as N).",
        )
        return _left_out(row, len(cleaned.text), f"{foreign[0]!r} is no code of DNA")
    notes = [f"{len(foreign)} letters are read as N"] if foreign else []
    return _cut(row, cleaned.masked, rules, limits, notes, cleaned.uracil)


def _cut(
    row: Row, letters: Letters, rules: Rules, limits: Limits, notes: list[str], uracil: int
) -> Pieces:
    bases, named = len(letters), _name(row)
    if bases < max(1, rules.min_bases):
        _refuse(
            rules.too_short == REFUSE,
            f"{named} has {bases} bases, fewer than the {max(1, rules.min_bases)} that are asked"
            " for: remove the row, or set `too_short` of the prediction to drop, or `min_bases`.",
        )
        return _left_out(row, bases, f"{bases} bases are too few")
    asked = rules.max_bases or limits.max_bases
    most = min(limits.bases, asked)  # of a piece
    # A text may have more where its tokens are few, as of a run of N that is one token.
    allowed = min(limits.max_bases, asked) if isinstance(letters, str) else most
    found = partial(Pieces, row=row, bases=bases, uracil=uracil)
    made = ""
    # What lies in a genome is read only if it may fit: its coordinates say how long it is.
    if bases <= allowed or isinstance(letters, str):
        text = letters[:bases]
        tokens = limits.count_tokens(text)
        if bases <= allowed and tokens <= limits.max_tokens:
            return found(texts=(text,), starts=(0,), size=bases, note="; ".join(notes))
        made = f" which make {tokens:,} tokens with <cls>,"
    limit = f"{allowed:,} bases" if bases > allowed else f"{limits.max_tokens:,} tokens"
    _refuse(
        rules.too_long == REFUSE,
        f"{named} has {bases:,} bases,{made} more than the {limit} that are read: cut it, or set"
        " `too_long` of the prediction to centre, tiles or drop.",
    )
    if rules.too_long == DROP:
        return _left_out(row, bases, f"{bases} bases are too many")
    if rules.too_long == CENTRE:
        size, starts = limits.cut(letters, most, middle)
        text = letters[starts[0] : starts[0] + size]
        notes = [*notes, f"the middle {size} of {bases} bases"]
        return found(texts=(text,), starts=starts, size=size, note="; ".join(notes))
    size, starts = limits.cut(letters, most, partial(_tiles, overlap=rules.tile_overlap))
    notes = [*notes, f"{len(starts)} tiles of {size} of {bases} bases"]
    tiles = _Tiles(letters=letters, starts=starts, size=size)
    return found(texts=tiles, starts=starts, size=size, note="; ".join(notes))


def _name(row: Row) -> str:
    return f"row {row.id} ({row.place})"


def _refuse(refused: bool, sentence: str) -> None:
    if refused:
        raise InputError(sentence)


def _left_out(row: Row, bases: int, why: str) -> Pieces:
    note = f"left out: {why}"
    return Pieces(row=row, bases=bases, texts=(), starts=(), size=0, note=note, uracil=0)


def _tiles(bases: int, size: int, overlap: int) -> NDArray[np.int64]:
    """Return evenly spaced starts, the first tile at the left end and the last at the right."""
    count = 1 + -(-(bases - size) // max(1, size - overlap))
    return np.linspace(0, bases - size, count).round().astype(np.int64)
