"""Streaming FASTA reader, plain or gzipped; memory does not grow with the contigs."""

import logging
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnalm.download.compression import name_foreign, open_binary
from dnalm.errors import InputError
from dnalm.genome.letters import IUPAC, URACIL_TO_THYMINE, ZERO_COUNTS, read_letters
from dnalm.genome.names import decode

BLOCK_BYTES = 1 << 18  # small enough to stay in the processor's cache from step to step
PIECE_NAME = re.compile(r"(.+):([0-9]+)-([0-9]+)")
MAX_DIGITS = 18  # of a coordinate; more do not fit 64 bits

log = logging.getLogger(__name__)


class Contig:
    """One FASTA record, read while `blocks` is iterated over: base codes uint8[n], none empty.

    The first code is base `start` of contig `name` (0-based). `record` is the first word of the
    header. A record called NAME:FROM-TO (1-based, both included) is a piece of NAME; any other
    record starts at 0. `counts` covers the blocks read so far, in the end the whole record.
    """

    def __init__(self, path: str | Path, record: str, texts: Iterator[bytes]) -> None:
        self._piece = PIECE_NAME.fullmatch(record)
        self._path = path
        self.record = record
        self.name, self.start = record, 0
        if self._piece and max(map(len, self._piece.groups()[1:])) > MAX_DIGITS:
            raise InputError(
                f"{path}: record {record[:40]}... is named as a piece of a contig, but by a number "
                f"of more than {MAX_DIGITS} digits; correct its name."
            )
        if self._piece:
            self.name, self.start = self._piece[1], int(self._piece[2]) - 1
        self.counts = ZERO_COUNTS
        self.uracil = 0  # letters U, which are read as T
        self.blocks = self._read(texts)

    def _read(self, texts: Iterator[bytes]) -> Iterator[NDArray[np.uint8]]:
        for text in texts:
            codes, counts, invalid = read_letters(text)
            if invalid:  # looked for only now: few files are of RNA
                codes, counts, invalid = read_letters(text.translate(URACIL_TO_THYMINE))
                self.uracil += text.count(b"U") + text.count(b"u")
            if invalid:
                raise InputError(_not_dna(self._path, self.record, invalid))
            self.counts += counts
            if len(codes):
                yield codes
        self._check_whole()

    def _check_whole(self) -> None:
        path, record, counts, piece = self._path, self.record, self.counts, self._piece
        if not counts.bases:
            raise InputError(f"{path}: record {record} has no sequence; remove it or complete it.")
        if 2 * counts.iupac > counts.bases:
            raise InputError(
                f"{path}: in record {record} {counts.iupac:,} of {counts.bases:,} letters are not "
                "A, C, G, T or N, as in proteins; give DNA."
            )
        if self.uracil:
            log.warning(
                "%s: %d letters U of record %s are read as T, as of RNA.", path, self.uracil, record
            )
        if piece and (self.start < 0 or int(piece[3]) - self.start != counts.bases):
            raise InputError(
                f"{path}: record {record} is named as bases {piece[2]} to {piece[3]}, both "
                f"included and counted from 1, but holds {counts.bases:,}; correct its name."
            )


def read_fasta(path: str | Path) -> Iterator[Contig]:
    """Yield the contigs of a FASTA file, gzipped or not, in file order.

    The blocks of a contig have to be read before the next contig is taken; what is left of them
    then is checked and skipped.

    Raises InputError for a file that is missing, truncated, empty, not FASTA or not of DNA (A, C,
    G, T, N and the IUPAC codes of several bases, in either case; U is read as T, with a warning),
    for two records of one name, a name with control characters, and for a piece whose length is not
    TO - FROM + 1. Errors of a sequence are raised while its blocks are read.
    """
    seen: set[str] = set()
    for (number, header), parts in groupby(_parts(path), key=itemgetter(0, 1)):
        texts = map(itemgetter(2), parts)
        if number == 0:
            _refuse_text(path, texts)
            continue
        if b"\r" in header.rstrip(b"\r"):
            raise InputError(
                f"{path}: its lines end as those of old Macs do, in CR alone; write them anew with "
                "`tr '\\r' '\\n'`."
            )
        words = header.split()
        if not words:
            raise InputError(f"{path}: a header line has no name; write one after its '>'.")
        record = decode(words[0])
        if not record.isprintable():
            raise InputError(
                f"{path}: the record {record[:40]!r} has a letter in its name that cannot be "
                "shown; rename it, or get the file again if it is damaged."
            )
        if record in seen:
            raise InputError(
                f"{path}: two records are named {record}; rename or remove one of them."
            )
        seen.add(record)
        contig = Contig(path, record, texts)
        yield contig
        for _ in contig.blocks:
            pass
    if not seen:
        raise InputError(f"{path}: the file is empty; give a FASTA file with at least one record.")


def _parts(path: str | Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield record number, header without '>', and text below it: one part or more per record.

    Records are numbered from 1; part 0 is the text before the first header.
    """
    number, header = 0, b""
    for block in _whole_headers(path):
        text, *records = _split_at_headers(block)
        yield number, header, text
        for record in records:
            number += 1
            header, _, text = record.partition(b"\n")
            yield number, header, text


def _split_at_headers(block: bytes) -> Iterator[bytes]:
    """Yield what `block.split(b"\\n>")` holds, several times faster for looking for one byte."""
    begin, mark = 0, block.find(b">")
    while mark >= 0:
        if mark and block.startswith(b"\n", mark - 1):
            yield block[begin : mark - 1]
            begin = mark + 1
        mark = block.find(b">", mark + 1)
    yield block[begin:]


def _whole_headers(path: str | Path) -> Iterator[bytes]:
    """Yield the file in blocks in which every header is whole and stands between line ends."""
    carried = b"\n"
    try:
        with open_binary(path) as stream:
            while block := stream.read(BLOCK_BYTES):
                block = carried + block
                if block.startswith(b">", block.rfind(b"\n") + 1):
                    block += stream.readline()
                # The next block may begin with a header.
                carried = b"\n" if block.endswith(b"\n") else b""
                yield block.removesuffix(carried)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; correct the path.") from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror}); correct it.") from None


def _not_dna(path: str | Path, record: str, letter: str) -> str:
    kind = "no code of DNA" if letter.isalpha() else "no letter"
    return (
        f"{path}: record {record} contains {letter!r}, which is {kind}; give DNA of the letters "
        f"A, C, G, T, N and {IUPAC}, without gaps or numbers."
    )


def _refuse_text(path: str | Path, texts: Iterator[bytes]) -> None:
    """Raise InputError when anything but blanks stands before the first header."""
    for text in texts:
        if foreign := name_foreign(text.removeprefix(b"\n")):
            raise InputError(f"{path}: this is {foreign[0]}, not FASTA; {foreign[1]}.")
        if line := text.strip().partition(b"\n")[0]:
            start = line[:40].decode("utf-8", "replace").rstrip()
            kind = "a web page" if start.startswith("<") else "not FASTA"
            raise InputError(
                f"{path}: the file begins with {start!r}, it is {kind}; give a FASTA file."
            )
