"""A first look at all rows, before a model is loaded: how many, whether all can be read."""

import logging
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from dnalm.benchmark.prediction.pieces import Pieces, Rules, cut_pieces
from dnalm.benchmark.prediction.sources import Source
from dnalm.errors import InputError
from dnalm.jobs.progress import Progress
from dnalm.model.token_batches import Limits

HASH_BYTES = 8

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Scan:
    """Counts of rows: all, left out, otherwise with a note; of tokens to read; of bases of a row.

    `longest` and `shortest` are those of rows that are not left out.
    """

    rows: int = 0
    left_out: int = 0
    noted: int = 0
    tokens: int = 0
    uracil: int = 0
    shortest: int = 0
    longest: int = 0


def read_pieces(source: Source, rules: Rules, limits: Limits) -> Iterator[Pieces]:
    """Yield what of each row is to be predicted; InputError for a row that the rules refuse."""
    for row in source.rows():
        yield cut_pieces(row, rules, limits)


def scan(source: Source, rules: Rules, limits: Limits) -> Scan:
    """Return the counts of all rows.

    In memory are 8 bytes of each row, the hash of its id. Raises InputError for a row that the
    rules refuse, two rows of one id in a file of sequences, and a file without rows.
    """
    found, hashes = Scan(), array("Q")
    with Progress(f"read {source.path}", "rows") as progress:
        for pieces in read_pieces(source, rules, limits):
            found.rows += 1
            found.uracil += pieces.uracil
            if pieces.texts:
                found.noted += bool(pieces.note)
                found.tokens += sum(map(limits.count_tokens, pieces.texts))
                found.shortest = min(found.shortest or pieces.bases, pieces.bases)
                found.longest = max(found.longest, pieces.bases)
            else:
                found.left_out += 1
            if source.unique:
                hashes.append(_hash(pieces.row.id))
            progress.advance()
    if not found.rows:
        raise InputError(f"{source.path} holds no sequence: give a file with at least one.")
    _refuse_repeated(source, np.frombuffer(hashes, dtype=np.uint64))
    return found


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=HASH_BYTES).digest(), "little")


def _refuse_repeated(source: Source, hashes: np.ndarray) -> None:
    ordered = np.sort(hashes)
    repeated = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not repeated:
        return
    places: dict[str, str] = {}
    for row in source.rows():
        if _hash(row.id) not in repeated:
            continue
        if row.id in places:
            raise InputError(
                f"{source.path}: two rows have the id {row.id!r} ({places[row.id]}; {row.place}):"
                " give each its own, by which its prediction is found."
            )
        places[row.id] = row.place
