"""Nucleotide letters of FASTA text: base codes, and counts of N, soft-masked and IUPAC letters."""

import string
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnalm.compiled import compiled
from dnalm.genome.kmers import N

IUPAC = "RYSWKMBDHV"
LETTERS = f"ACGTN{IUPAC}".encode() + f"acgtn{IUPAC.lower()}".encode()
WHITESPACE = b" \t\r\n"
LINE_END = ord("\n")
MIN_TABLE_LINES = 50  # with fewer, viewing the text as a table costs more than it saves

URACIL_TO_THYMINE = bytes.maketrans(b"Uu", b"Tt")
# Of these letters alone: others change their number in upper case, ß to SS.
_TO_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TO_N = str.maketrans(IUPAC, "N" * len(IUPAC))
_WITHOUT_BASES = str.maketrans("", "", "ACGTN")

_A, _C, _G, _T, _N = np.frombuffer(b"ACGTN", dtype=np.uint8)
_UPPER = np.uint8(0xDF)  # all bits but the one that makes a letter lower-case
_ONE, _TWO, _FIVE, _N_CODE = np.uint8(1), np.uint8(2), np.uint8(5), np.uint8(N)
_UNAMBIGUOUS, _AMBIGUOUS, _INVALID = np.uint8(0), np.uint8(1), np.uint8(2)
_KINDS = np.full(256, _INVALID, dtype=np.uint8)
_KINDS[list(LETTERS)] = _AMBIGUOUS
_KINDS[list(b"ACGTNacgtn")] = _UNAMBIGUOUS
_SUMMED_LETTERS = 128  # letters counted in one byte, which holds at most 255


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of letters of a sequence.

    bases: all letters; n: codes N after replacement; soft_masked: lower-case letters;
    iupac: ambiguity codes other than N (NC-IUB 1984), which became N.
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


@dataclass(frozen=True, kw_only=True)
class CleanSequence:
    """A sequence in upper case, of A, C, G, T and N if `foreign` is empty.

    uracil: letters U, which became T; iupac: ambiguity codes, which became N; foreign: the letters
    that are no code of DNA, blanks inside among them.
    """

    text: str
    uracil: int
    iupac: int
    foreign: str

    @property
    def masked(self) -> str:
        """The sequence with N for foreign letters."""
        return self.text.translate(str.maketrans(dict.fromkeys(self.foreign, "N")))


def clean_sequence(text: str) -> CleanSequence:
    """Return a sequence of a table, a FASTA record or a caller as letters of DNA.

    Blanks and line ends around it are dropped.
    """
    raw = text.strip().translate(_TO_UPPER)
    cleaned = raw.replace("U", "T").translate(_TO_N)
    return CleanSequence(
        text=cleaned,
        uracil=raw.count("U"),
        iupac=sum(map(raw.count, IUPAC)),
        foreign=cleaned.translate(_WITHOUT_BASES),
    )


ZERO_COUNTS = Counts(bases=0, n=0, soft_masked=0, iupac=0)


def read_letters(text: bytes) -> tuple[NDArray[np.uint8], Counts, str]:
    """Return base codes uint8[n], letter counts and the first letter that is not DNA, "" if none.

    `text` are lines of sequence; line ends and blanks are skipped. The codes mean nothing when
    there is a letter that is not DNA.
    """
    codes, counts, invalid = _read(_join_lines(text))
    if not invalid:
        return codes, counts, ""
    # Few files have other blanks than line ends, so these are removed only where needed.
    letters = text.translate(None, WHITESPACE)
    codes, counts, _ = _read(np.frombuffer(letters, dtype=np.uint8))
    return codes, counts, letters.translate(None, LETTERS)[:1].decode("latin-1")


def _join_lines(text: bytes) -> NDArray[np.uint8]:
    """Return the letters of lines without line ends, uint8[n].

    Where every line seems to be as long as the second, line ends in the middle of one are left in
    for the caller to find.
    """
    first = text.find(b"\n") + 1
    step = text.find(b"\n", first) + 1 - first
    lines = (len(text) - first) // step if step > 1 else 0
    last = first + lines * step
    codes = np.frombuffer(text, dtype=np.uint8)
    if lines < MIN_TABLE_LINES or (codes[first + step - 1 : last : step] != LINE_END).any():
        return np.frombuffer(text.replace(b"\n", b""), dtype=np.uint8)
    rest = text[last:].replace(b"\n", b"")
    # Whole lines are of one width: one strided copy drops the column of their line ends.
    letters = np.empty(first - 1 + lines * (step - 1) + len(rest), dtype=np.uint8)
    letters[: first - 1] = codes[: first - 1]
    middle = letters[first - 1 : len(letters) - len(rest)]
    middle.reshape(lines, -1)[:] = codes[first:last].reshape(lines, -1)[:, :-1]
    letters[len(letters) - len(rest) :] = np.frombuffer(rest, dtype=np.uint8)
    return letters


def _read(letters: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Counts, int]:
    codes = np.empty(len(letters), dtype=np.uint8)
    n, soft_masked, iupac, invalid = _encode(letters, codes, _KINDS)
    return codes, Counts(bases=len(codes), n=n, soft_masked=soft_masked, iupac=iupac), invalid


@compiled
def _encode(letters, codes, kinds):
    """Fill `codes`; return counts of N codes, lower-case, IUPAC and invalid letters.

    The loops are written so that the compiler turns them into vector instructions: operands of 8
    bits throughout, selection instead of branches and, where sums are taken, a constant length.
    """
    size = len(letters)
    for i in range(size):
        letter = letters[i]
        upper = letter & _UPPER
        is_base = (upper == _A) | (upper == _C) | (upper == _G) | (upper == _T)
        # The second and third bit of the letters A, T, C, G are 00, 01, 10, 11 in either case.
        codes[i] = ((letter & _TWO) | ((letter >> _TWO) & _ONE)) if is_base else _N_CODE
    n, soft_masked, iupac, invalid = 0, 0, 0, 0
    whole = size - size % _SUMMED_LETTERS
    for first in range(0, whole, _SUMMED_LETTERS):
        part, part_codes = (
            letters[first : first + _SUMMED_LETTERS],
            codes[first : first + _SUMMED_LETTERS],
        )
        n_codes, n_letters, lower = np.uint8(0), np.uint8(0), np.uint8(0)
        for i in range(_SUMMED_LETTERS):
            # Of the codes 0 to 4 only N has the third bit.
            n_codes = np.uint8(n_codes + (part_codes[i] >> _TWO))
            n_letters = np.uint8(n_letters + np.uint8((part[i] & _UPPER) == _N))
            # The sixth bit is the case of an ASCII letter.
            lower = np.uint8(lower + ((part[i] >> _FIVE) & _ONE))
        n += n_codes
        soft_masked += lower
        # Codes N that no letter N explains: only then are ambiguity codes looked up one by one.
        if n_codes != n_letters:
            for i in range(_SUMMED_LETTERS):
                iupac += kinds[part[i]] == _AMBIGUOUS
                invalid += kinds[part[i]] == _INVALID
    for i in range(whole, size):
        n += codes[i] >> _TWO
        soft_masked += (letters[i] >> _FIVE) & _ONE
        iupac += kinds[letters[i]] == _AMBIGUOUS
        invalid += kinds[letters[i]] == _INVALID
    return n, soft_masked, iupac, invalid
