"""Windows around variants: where they begin, and the bases of both alleles in them.

The windows of both alleles begin at one base of the genome and are of one length: behind an indel
the right end is refilled, or cut. Positions are 0-based. Shapes: n bases.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.bases import COLUMNS, GenomeBases
from dnalm.genome.kmers import N, Vocabulary, encode, reverse_complement, to_codes, to_sequence
from dnalm.variants.alleles import Allele

FORWARD, REVERSE, BOTH = "forward", "reverse", "both"
LONGEST_AUTO = 12_000  # bases, the longest context of the paper


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """Which windows variants are read in.

    `bases` is their length, `k` that of a token; `frames` is 1, the variant in the middle, or k,
    one window for every place that it can have in its token. Variants of `shared_bases`
    neighbouring positions share their windows; one with more than `max_n` N is not read.
    """

    bases: int
    k: int
    frames: int
    strands: str
    shared_bases: int
    max_n: int
    max_tokens: int

    def lefts(self) -> list[int]:
        """Return how many bases lie before the variant in the window of each frame."""
        middle = self.bases // 2
        if self.frames == 1:
            return [middle]
        return [middle // self.k * self.k + frame for frame in range(self.frames)]

    @property
    def readings(self) -> int:
        """How many pairs of windows are read of an allele: frames times strands."""
        return self.frames * (2 if self.strands == BOTH else 1)


def choose_bases(window: str | int, k: int, max_tokens: int) -> int:
    """Return the length of windows in bases: a number as it is, `auto` what the model reads."""
    return min(LONGEST_AUTO, k * (max_tokens - 1)) if window == "auto" else int(window)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """The windows of both alleles, base codes uint8[n] each; `place` names the reference window."""

    place: tuple[str, int, int, bool]  # contig, start, bases, whether of the reverse strand
    reference: NDArray[np.uint8]
    alternative: NDArray[np.uint8]


class Windows:
    """Makes the windows of alleles on one genome.

    Without a `vocabulary` the tokens of a window are its bases; `count` then tells how many tokens
    the model makes of a text, where that may be more than it reads.
    """

    def __init__(
        self,
        genome: GenomeBases,
        vocabulary: Vocabulary | None,
        config: WindowConfig,
        count: Callable[[str], int] | None = None,
    ) -> None:
        self.genome, self.vocabulary, self.config = genome, vocabulary, config
        self._count = count
        self._lefts = config.lefts()
        self._pieces: dict[str, list[tuple[int, int, int]]] = {}
        columns = (genome.contigs[column].tolist() for column in COLUMNS)
        for contig, *piece in zip(*columns, strict=True):
            self._pieces.setdefault(contig, []).append(tuple(piece))

    def has_contig(self, contig: str) -> bool:
        """Return whether the genome has a contig of this name."""
        return contig in self._pieces

    def find_mismatch(self, allele: Allele) -> str | None:
        """Return why REF is not where it is said to be, None where it is."""
        if allele.contig not in self._pieces:
            return "contig_missing"
        piece = self._find_piece(allele)
        if piece is None:
            return "outside_contig"
        first, _, offset = piece
        there = self.genome.read_at(offset + allele.start - first, len(allele.reference))
        return None if np.array_equal(there, to_codes(allele.reference)) else "ref_mismatch"

    def find_unreadable(self, allele: Allele) -> str | None:
        """Return why an allele, whose REF is right, has windows that are not read."""
        most_n = 0
        for start, bases, span in self._spans(allele):
            if bases < 2 * self.config.k or not self._holds(allele, start, bases):
                return "too_long"
            most_n = max(most_n, int((span == N).sum()))
        if most_n > self.config.max_n:
            return "n_in_window"
        # Each N is a token, and what it cuts ends in single bases.
        may_exceed = most_n > 0 if self.vocabulary else self._count is not None
        if may_exceed and self.count_tokens(allele) > self.config.max_tokens:
            return "too_many_tokens"
        return None

    def encode(self, codes: NDArray[np.uint8]) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Return the tokens of a window."""
        return codes if self.vocabulary is None else encode(codes, self.vocabulary)

    def count_tokens(self, allele: Allele) -> int:
        """Return the number of tokens, with <cls>, of the longest window of a readable allele."""
        if self.config.max_n == 0 and self._count is None:
            k = self.config.k
            return max(1 + bases // k + bases % k for _, bases, _ in self._spans(allele))
        return max(
            self._count(to_sequence(codes)) if self._count else len(self.encode(codes))
            for pair in self.make(allele)
            for codes in (pair.reference, pair.alternative)
        )

    def make(self, allele: Allele) -> Iterator[Pair]:
        """Yield the pairs of windows of an allele that can be read: its frames, their strands."""
        for start, bases, span in self._spans(allele):
            left = allele.start - start
            right = span[left + len(allele.reference) :]
            letters = to_codes(allele.alternative)
            alternative = np.concatenate([span[:left], letters, right])[:bases]
            reference = span[:bases]
            if self.config.strands != REVERSE:
                place = (allele.contig, start, bases, False)
                yield Pair(place=place, reference=reference, alternative=alternative)
            if self.config.strands != FORWARD:
                yield Pair(
                    place=(allele.contig, start, bases, True),
                    reference=reverse_complement(reference),
                    alternative=reverse_complement(alternative),
                )

    def _find_piece(self, allele: Allele) -> tuple[int, int, int] | None:
        """Return (start, length, offset) of the stored piece that holds REF, None without one."""
        end = allele.start + len(allele.reference)
        for first, length, offset in self._pieces[allele.contig]:
            if first <= allele.start and end <= first + length:
                return first, length, offset
        return None

    def _spans(self, allele: Allele) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield start and length of the window of each frame, and its bases.

        Behind these are those that refill the window of a deletion.
        """
        first, length, offset = self._find_piece(allele)
        refill = max(0, len(allele.reference) - len(allele.alternative))
        bases = min(self.config.bases, length - refill)
        shared = self.config.shared_bases
        anchor = allele.start // shared * shared + shared // 2
        for left in self._lefts:
            start = self._shift(anchor - left, first, first + length - bases - refill)
            if not self._holds(allele, start, bases):
                start = min(max(anchor - left, first), first + length - bases - refill)
            yield start, bases, self.genome.read_at(offset + start - first, bases + refill)

    def _shift(self, start: int, least: int, most: int) -> int:
        """Return a start within the contig, moved by whole tokens so that the frame is kept.

        Where there is no room for that it is the end of the contig.
        """
        k = self.config.k
        if start < least:
            start += -(-(least - start) // k) * k
        if start > most:
            start -= -(-(start - most) // k) * k
        return start if start >= least else least

    def _holds(self, allele: Allele, start: int, bases: int) -> bool:
        longest = max(len(allele.reference), len(allele.alternative))
        return start <= allele.start and allele.start + longest <= start + bases
