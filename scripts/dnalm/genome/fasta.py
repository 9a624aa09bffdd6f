"""Reading FASTA, plain or gzipped, one contig at a time; memory holds the largest contig."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.kmers import N, to_codes

BLOCK_BYTES = 1 << 22
GZIP_MAGIC = b"\x1f\x8b"
# bgzip marks its blocks in the gzip header and ends every complete file with one empty block.
BGZIP_SUBFIELD = b"BC\x02\x00"
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
IUPAC = "RYSWKMBDHV"
LETTERS = f"ACGTN{IUPAC}".encode() + f"acgtn{IUPAC.lower()}".encode()
BLANKS = b" \t\r\n"
LOWER_CASE_BIT = 0x20
PIECE = re.compile(r"(.+):(\d+)-(\d+)")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Letters of a sequence.

    bases: all of them; n: codes N after replacement; soft_masked: lower-case letters;
    iupac: letters that stand for several bases, which became N.
    """

    bases: int
    n: int
    soft_masked: int
    iupac: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            bases=self.bases + other.bases,
            n=self.n + other.n,
            soft_masked=self.soft_masked + other.soft_masked,
            iupac=self.iupac + other.iupac,
        )


NO_COUNTS = Counts(bases=0, n=0, soft_masked=0, iupac=0)


@dataclass(frozen=True, kw_only=True)
class Contig:
    """One record: `codes` uint8[n] are bases start .. start + n of contig `name` (0-based).

    `record` is the first word of the header. A record called NAME:FROM-TO (1-based, both
    included) is a piece of NAME; any other record starts at 0.
    """

    record: str
    name: str
    start: int
    codes: NDArray[np.uint8]
    counts: Counts


def read_fasta(path: str | Path) -> Iterator[Contig]:
    """Yield the contigs of a FASTA file, gzipped or not, in file order.

    Raises InputError for a file that is missing, truncated, empty, not FASTA or not of DNA (A, C,
    G, T, N and the IUPAC codes of several bases, in either case), for two records of one name, and
    for a piece whose length is not TO - FROM + 1.
    """
    seen: set[str] = set()
    for header, sequence in _records(path):
        words = header[1:].split()
        if not words:
            raise InputError(f"{path}: a header line has no name; write one after its '>'.")
        record = words[0].decode("utf-8", "replace")
        if record in seen:
            raise InputError(
                f"{path}: two records are named {record}; rename or remove one of them."
            )
        seen.add(record)
        yield _contig(path, record, sequence)
    if not seen:
        raise InputError(f"{path}: the file is empty; give a FASTA file with at least one record.")


def _contig(path: str | Path, record: str, sequence: bytearray) -> Contig:
    if not sequence:
        raise InputError(f"{path}: record {record} has no sequence; remove it or complete it.")
    codes, counts = np.empty(len(sequence), dtype=np.uint8), NO_COUNTS
    for first in range(0, len(sequence), BLOCK_BYTES):
        part = sequence[first : first + BLOCK_BYTES]
        others = part.translate(None, LETTERS)
        if others:
            raise InputError(_not_dna(path, record, others[:1].decode("latin-1")))
        codes[first : first + len(part)] = to_codes(part)
        counts += _count(part, codes[first : first + len(part)])
    if 2 * counts.iupac > counts.bases:
        raise InputError(
            f"{path}: in record {record} {counts.iupac:,} of {counts.bases:,} letters are not A, "
            "C, G, T or N, as in proteins; give DNA."
        )
    piece = PIECE.fullmatch(record)
    name, start = record, 0
    if piece:
        name, start = piece[1], int(piece[2]) - 1
        if start < 0 or int(piece[3]) - start != len(codes):
            raise InputError(
                f"{path}: record {record} is named as bases {piece[2]} to {piece[3]}, both "
                f"included and counted from 1, but holds {len(codes):,}; correct its name."
            )
    return Contig(record=record, name=name, start=start, codes=codes, counts=counts)


def _count(sequence: bytearray, codes: NDArray[np.uint8]) -> Counts:
    n = int(np.count_nonzero(codes == N))
    letters = np.frombuffer(sequence, dtype=np.uint8)
    return Counts(
        bases=len(codes),
        n=n,
        soft_masked=int(np.count_nonzero(letters & LOWER_CASE_BIT)),
        iupac=n - sequence.count(b"N") - sequence.count(b"n"),
    )


def _records(path: str | Path) -> Iterator[tuple[bytes, bytearray]]:
    """Yield each header line with the sequence below it, without blanks and line ends."""
    header: bytes | None = None
    sequence = bytearray()
    for block in _blocks(path):
        # Most blocks of a large genome hold no header: look at single lines only where one may be.
        joined = b"".join(block)
        for line in block if b">" in joined else [joined]:
            if line.startswith(b">"):
                if header is not None:
                    yield header, sequence
                header, sequence = line, bytearray()
            elif header is not None:
                sequence += line.translate(None, BLANKS)
            elif line.strip():
                raise InputError(_not_fasta(path, line))
    if header is not None:
        yield header, sequence


def _blocks(path: str | Path) -> Iterator[list[bytes]]:
    """Yield the file's lines in lists of about `BLOCK_BYTES`."""
    try:
        with open(path, "rb") as file:
            compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            if compressed:
                _refuse_cut_bgzip(path, file)
            file.seek(0)
            stream = io.BufferedReader(igzip.open(file), BLOCK_BYTES) if compressed else file
            while lines := stream.readlines(BLOCK_BYTES):
                yield lines
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; correct the path.") from None
    except (EOFError, igzip.BadGzipFile, zlib.error, igzip.isal_zlib.error) as error:
        raise InputError(
            f"{path}: the gzip data is truncated or damaged ({error}); download the file again."
        ) from None


def _refuse_cut_bgzip(path: str | Path, file: io.BufferedReader) -> None:
    """Raise InputError for a bgzip file cut between two blocks, which gzip takes for complete."""
    file.seek(0)
    is_bgzip = file.read(18)[12:16] == BGZIP_SUBFIELD
    file.seek(max(0, file.seek(0, io.SEEK_END) - len(BGZIP_END)))
    if is_bgzip and file.read() != BGZIP_END:
        raise InputError(
            f"{path}: the end mark of bgzip is missing, the file is truncated; "
            "download the file again."
        )


def _not_dna(path: str | Path, record: str, letter: str) -> str:
    if letter in "Uu":
        return f"{path}: record {record} contains {letter!r} and looks like RNA; give DNA, with T."
    kind = "no code of DNA" if letter.isalpha() else "no letter"
    return (
        f"{path}: record {record} contains {letter!r}, which is {kind}; give DNA of the letters "
        f"A, C, G, T, N and {IUPAC}, without gaps or numbers."
    )


def _not_fasta(path: str | Path, line: bytes) -> str:
    start = line.strip()[:40].decode("utf-8", "replace")
    kind = "a web page" if start.startswith("<") else "not FASTA"
    return f"{path}: the file begins with {start!r}, it is {kind}; give a FASTA file."
