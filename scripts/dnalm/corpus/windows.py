"""Windows of genomes as arithmetic on contig lengths; no file lists them.

Window i of a contig covers bases [i * stride, i * stride + length), 0-based and half-open. What
is left at the end of a contig, and a contig shorter than a window, is dropped. Source: the paper's
corpora and the loader script of the authors' data set, whose windows differ (config.yaml has both).
Dropping the tail is our reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnalm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class WindowRule:
    """Length and stride of windows in bases, and the largest start drawn within one.

    Tokenisation begins at 0 .. `start_max` (both included) within a window.
    """

    length: int
    stride: int
    start_max: int

    def __post_init__(self) -> None:
        for key, value in (("length", self.length), ("stride", self.stride)):
            if value < 1:
                raise InputError(f"windows.{key} is {value}; give at least 1.")
        if not 0 <= self.start_max < self.length:
            raise InputError(
                f"windows.start_max is {self.start_max}, but windows.length is {self.length}; "
                f"give a start_max from 0 to {self.length - 1} or longer windows."
            )

    def count(self, contig_length: int) -> int:
        """Return the number of whole windows in a contig of so many bases."""
        return max(0, (contig_length - self.length) // self.stride + 1)

    def dropped_tail(self, contig_length: int) -> int:
        """Return the bases after the end of the last window, all of a contig without one."""
        windows = self.count(contig_length)
        return contig_length - ((windows - 1) * self.stride + self.length if windows else 0)


def tokens_per_window(rule: WindowRule, k: int, max_tokens: int) -> int:
    """Return the number of tokens of a window from any start, <cls> included.

    Raises InputError when that leaves nothing but <cls>.
    """
    tokens = 1 + min(max_tokens - 1, (rule.length - rule.start_max) // k)
    if tokens < 2:
        raise InputError(
            f"windows.length {rule.length} with windows.start_max {rule.start_max}, k {k} and "
            f"max_tokens {max_tokens} leaves no k-mer; make windows.length or max_tokens larger."
        )
    return tokens


def count_window_tokens(corpus: Mapping[str, Any]) -> int:
    """Return the tokens of a window, with `<cls>`, by the settings of its corpus."""
    rule = WindowRule(**corpus["windows"])
    return tokens_per_window(rule, corpus["k"], corpus["max_tokens"])


class WindowIndex:
    """Index of the windows of many contigs, numbered 0 .. windows - 1, contig after contig."""

    def __init__(self, lengths: ArrayLike, rule: WindowRule) -> None:
        self.rule = rule
        lengths = np.asarray(lengths, dtype=np.int64)
        counts = np.maximum(0, (lengths - rule.length) // rule.stride + 1)
        self._ends = np.cumsum(counts)
        self._firsts = self._ends - counts
        self.windows = int(counts.sum())

    def locate(self, window: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the contig row and the start in bases within that contig of each window."""
        window = np.asarray(window, dtype=np.int64)
        contig = np.searchsorted(self._ends, window, side="right")
        return contig, (window - self._firsts[contig]) * self.rule.stride
