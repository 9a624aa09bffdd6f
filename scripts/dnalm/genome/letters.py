"""The letters of a FASTA file: which are DNA, what they are stored as, and how many there are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnalm.compiled import compiled
from dnalm.genome.kmers import N

IUPAC = "RYSWKMBDHV"
LETTERS = f"ACGTN{IUPAC}".encode() + f"acgtn{IUPAC.lower()}".encode()
BLANKS = b" \t\r\n"
LINE_END = ord("\n")
FEWEST_LINES = 50  # with fewer, to cut a table out of the text costs more than it saves

_A, _C, _G, _T, _N = np.frombuffer(b"ACGTN", dtype=np.uint8)
_UPPER = np.uint8(0xDF)  # all bits but the one that makes a letter lower-case
_ONE, _TWO, _FIVE, _N_CODE = np.uint8(1), np.uint8(2), np.uint8(5), np.uint8(N)
_PLAIN, _SEVERAL, _FOREIGN = np.uint8(0), np.uint8(1), np.uint8(2)
_KINDS = np.full(256, _FOREIGN, dtype=np.uint8)
_KINDS[list(LETTERS)] = _SEVERAL
_KINDS[list(b"ACGTNacgtn")] = _PLAIN
_STRETCH = 128  # letters counted in bytes, which hold at most 255


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


def read_letters(text: bytes) -> tuple[NDArray[np.uint8], Counts, str]:
    """Return codes, counts and the first letter that is not of DNA, "" if all are.

    `text` are lines of sequence; line ends and blanks are passed over. The codes, uint8[n], mean
    nothing when there is a letter that is not of DNA.
    """
    codes, counts, foreign = _read(_join_lines(text))
    if not foreign:
        return codes, counts, ""
    # Few files have other blanks than line ends, so they are looked for only now.
    letters = text.translate(None, BLANKS)
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
    if lines < FEWEST_LINES or (codes[first + step - 1 : last : step] != LINE_END).any():
        return np.frombuffer(text.replace(b"\n", b""), dtype=np.uint8)
    rest = text[last:].replace(b"\n", b"")
    letters = np.empty(first - 1 + lines * (step - 1) + len(rest), dtype=np.uint8)
    letters[: first - 1] = codes[: first - 1]
    middle = letters[first - 1 : len(letters) - len(rest)]
    middle.reshape(lines, -1)[:] = codes[first:last].reshape(lines, -1)[:, :-1]
    letters[len(letters) - len(rest) :] = np.frombuffer(rest, dtype=np.uint8)
    return letters


def _read(letters: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Counts, int]:
    codes = np.empty(len(letters), dtype=np.uint8)
    n, soft_masked, iupac, foreign = _encode(letters, codes, _KINDS)
    return codes, Counts(bases=len(codes), n=n, soft_masked=soft_masked, iupac=iupac), foreign


@compiled
def _encode(letters, codes, kinds):
    """Fill `codes` and count N codes, lower-case letters, IUPAC codes and letters not of DNA.

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
    n, soft_masked, iupac, foreign = 0, 0, 0, 0
    whole = size - size % _STRETCH
    for first in range(0, whole, _STRETCH):
        part, part_codes = letters[first : first + _STRETCH], codes[first : first + _STRETCH]
        n_codes, n_letters, lower = np.uint8(0), np.uint8(0), np.uint8(0)
        for i in range(_STRETCH):
            n_codes = np.uint8(n_codes + (part_codes[i] >> _TWO))
            n_letters = np.uint8(n_letters + np.uint8((part[i] & _UPPER) == _N))
            lower = np.uint8(lower + ((part[i] >> _FIVE) & _ONE))
        n += n_codes
        soft_masked += lower
        if n_codes != n_letters:
            for i in range(_STRETCH):
                iupac += kinds[part[i]] == _SEVERAL
                foreign += kinds[part[i]] == _FOREIGN
    for i in range(whole, size):
        n += codes[i] >> _TWO
        soft_masked += (letters[i] >> _FIVE) & _ONE
        iupac += kinds[letters[i]] == _SEVERAL
        foreign += kinds[letters[i]] == _FOREIGN
    return n, soft_masked, iupac, foreign
