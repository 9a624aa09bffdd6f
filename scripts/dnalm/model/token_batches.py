"""Tokenised sequences, and padded batches of sequences of similar length.

Shapes: B batch, T tokens with <cls>.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.suggestions import check_choice

# A larger batch's activations fall out of a processor's cache, docs/explanation/performance.md.
MAX_CPU_BATCH_TOKENS = 2048
# What happens to a sequence that is longer than the context: an error, or its middle is read.
REFUSE, CENTRE = "refuse", "centre"

Place = Callable[[int, int], Sequence[int]]  # of all bases, and those of a piece


class Letters(Protocol):
    """A sequence of A, C, G, T and N, in memory (a text) or read when a slice is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> str: ...


@dataclass(kw_only=True)
class _Search:
    """The longest piece that fits: the `size` to look at next, and what was found so far.

    `above` are bases and tokens of the last piece that was too long.
    """

    limits: "Limits"
    size: int
    above: tuple[int, int] | None = None
    share: float = 1.0

    def ends(self, tokens: int) -> bool:
        """Return whether a piece of so many tokens is the longest; if not, choose another size."""
        most = self.limits.max_tokens
        if tokens > most:
            self.above = self.size, tokens
        elif self.above is None or self.size >= self.above[0] - (self.above[1] - most):
            return True
        else:
            self.share /= 2  # that was too far
        bases, excessive = self.above
        if bases == 1:
            raise InputError(
                f"A model that reads at most {most:,} tokens makes {excessive:,} of one base:"
                " choose one with a longer context."
            )
        self.size = max(1, bases - self.limits.choose_step(bases, excessive, self.share))
        return False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a model reads: its words, and so many tokens with <cls>."""

    vocabulary: Vocabulary
    max_tokens: int

    @property
    def bases(self) -> int:
        """The most bases that fit where none of them is N."""
        return self.vocabulary.k * (self.max_tokens - 1)

    @property
    def max_bases(self) -> int:
        """The most bases of a sequence, however few tokens they make."""
        return self.bases

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a sequence of A, C, G, T and N, <cls> included."""
        runs = text.split("N")
        k = self.vocabulary.k
        return len(runs) + sum(len(run) // k + len(run) % k for run in runs)

    def count_all(self, texts: Sequence[str]) -> np.ndarray:
        """Return the number of tokens of each of many sequences, int64 [N]."""
        return np.array([self.count_tokens(text) for text in texts], dtype=np.int64)

    def find_long(self, texts: Sequence[str]) -> np.ndarray:
        """Return which sequences have more bases or tokens than the model reads, bool [N]."""
        bases = np.array([len(text) for text in texts], dtype=np.int64)
        return (bases > self.max_bases) | (self.count_all(texts) > self.max_tokens)

    def cut(self, text: Letters, most: int, place: Place) -> tuple[int, Sequence[int]]:
        """Return the length of pieces of a sequence that fit, and where they begin.

        All have one length of at most `most` bases, as long as fits; `place` tells their places.
        One is in memory at a time.
        """
        search = _Search(limits=self, size=min(most, len(text)))
        while True:
            size = search.size
            starts = place(len(text), size)
            tokens = (self.count_tokens(text[start : start + size]) for start in starts)
            if search.ends(max(tokens)):
                return size, starts

    def cut_middles(self, texts: Sequence[str]) -> list[str]:
        """Return the longest middle of each of many sequences, whose tokens are counted together.

        They are those of `cut`.
        """
        searches = {
            row: _Search(limits=self, size=min(self.bases, len(text)))
            for row, text in enumerate(texts)
        }
        found: dict[int, str] = {}
        while searches:
            tried = {row: _take_middle(texts[row], own.size) for row, own in searches.items()}
            for row, tokens in zip(tried, self.count_all([*tried.values()]).tolist(), strict=True):
                if searches[row].ends(tokens):
                    found[row] = tried[row]
                    del searches[row]
        return [found[row] for row in range(len(texts))]

    def choose_step(self, bases: int, tokens: int, share: float) -> int:
        """Return how many bases to leave out of a piece of so many bases and too many tokens.

        An N is a token of its own, and to leave out a base takes away one token at most. More may
        be left out at first; `share` is halved each time that the piece fits then.
        """
        return tokens - self.max_tokens


def _take_middle(text: str, size: int) -> str:
    (start,) = middle(len(text), size)
    return text[start : start + size]


def middle(bases: int, size: int) -> tuple[int, ...]:
    """Return where a piece of `size` bases in the middle of all of them begins."""
    return ((bases - size) // 2,)


def crop_long(
    sequences: Sequence[str], limits: Limits, too_long: str
) -> tuple[list[str], np.ndarray]:
    """Return sequences, of those that are too long the middle, and which these are, bool [N].

    With `too_long` refuse all stay as they are: what makes rows of tokens of them names the first
    that does not fit.
    """
    check_choice("embed.too_long", too_long, (REFUSE, CENTRE))
    kept, cropped = list(sequences), np.zeros(len(sequences), dtype=bool)
    if too_long == CENTRE:
        cropped = limits.find_long(sequences)
    rows = np.flatnonzero(cropped).tolist()
    for row, text in zip(rows, limits.cut_middles([kept[row] for row in rows]), strict=True):
        kept[row] = text
    return kept, cropped


def limit_tokens(batch_tokens: int, device: torch.device) -> int:
    """Return the most tokens of a batch for inference on `device`."""
    return min(batch_tokens, MAX_CPU_BATCH_TOKENS) if device.type == "cpu" else batch_tokens


def name_rows(table: pd.DataFrame) -> list[str]:
    """Return the names of a task table's rows in error messages: id and provenance."""
    return [
        f"{name} ({origin})" for name, origin in zip(table["id"], table["provenance"], strict=True)
    ]


class TokenRows:
    """Token ids of many sequences of different lengths, dealt in batches."""

    def __init__(
        self,
        sequences: Sequence[str],
        names: Sequence[str],
        vocabulary: Vocabulary,
        max_tokens: int,
    ) -> None:
        """Encode `sequences`; `names` are their rows' names in errors.

        Raises InputError, naming the row, for a sequence of more than `max_tokens` tokens.
        """
        self._rows = [encode(to_codes(sequence), vocabulary) for sequence in sequences]
        self._pad = vocabulary.pad
        self._bases = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        self.lengths = np.array([len(row) for row in self._rows], dtype=np.int64)
        longest = int(self.lengths.argmax()) if len(self.lengths) else 0
        if len(self.lengths) and self.lengths[longest] > max_tokens:
            raise InputError(
                f"row {names[longest]} has {len(sequences[longest]):,} bases, which make "
                f"{self.lengths[longest]:,} tokens with <cls>, but the model takes at most "
                f"{max_tokens:,} tokens: cut the task's sequences, choose a model with a longer "
                "context, or set embed.too_long to centre, which reads their middle where not "
                "every base has a label."
            )

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: Sequence[int] | np.ndarray) -> tuple[torch.Tensor, bool]:
        """Return the tokens of rows, int64[B, T] padded on the right, and whether any is a pad."""
        width = self.count_tokens(rows)
        tokens = np.full((len(rows), width), self._pad, dtype=np.int64)
        for place, row in enumerate(rows):
            tokens[place, : self.lengths[row]] = self._rows[row]
        return torch.from_numpy(tokens), bool((self.lengths[rows] < width).any())

    def count_tokens(self, rows: Sequence[int] | np.ndarray) -> int:
        """Return the number of tokens of the longest of `rows`, the width of their batch."""
        return int(self.lengths[rows].max())

    def count_bases(self, rows: Sequence[int] | np.ndarray) -> int:
        """Return the number of bases of the longest of `rows`."""
        return int(self._bases[rows].max())

    def longest_first(self, rows: np.ndarray) -> np.ndarray:
        """Return `rows` sorted by length in tokens, longest first; ties in the order given."""
        return rows[np.argsort(-self.lengths[rows], kind="stable")]

    def by_length(self, rows: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
        """Yield all of `rows` once, longest first, in batches of at most `batch_tokens` tokens.

        Pads count as tokens; a sequence longer than `batch_tokens` makes a batch of its own.
        """
        for (batch,) in self.side_by_side([self.longest_first(rows)], batch_tokens):
            yield batch

    def side_by_side(
        self, ordered: Sequence[np.ndarray], batch_tokens: int
    ) -> Iterator[list[np.ndarray]]:
        """Yield batches of several lists of rows, as many of each, from their beginnings on.

        Each list is in the order of `longest_first`. All batches together have at most
        `batch_tokens` tokens, if that is not fewer than a row of each. Where a list has ended, its
        last row comes again.
        """
        start, end = 0, max(map(len, ordered))
        while start < end:
            longest = max(int(self.lengths[own[min(start, len(own) - 1)]]) for own in ordered)
            size = max(1, batch_tokens // (longest * len(ordered)))
            places = np.arange(start, min(start + size, end))
            yield [own[np.minimum(places, len(own) - 1)] for own in ordered]
            start += size

    @staticmethod
    def shuffled(rows: np.ndarray, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield batches of `size` rows for ever: all rows in a random order, then in another."""
        waiting = np.empty(0, dtype=rows.dtype)
        while True:
            while len(waiting) < size:
                waiting = np.concatenate([waiting, random.permutation(rows)])
            yield waiting[:size]
            waiting = waiting[size:]
