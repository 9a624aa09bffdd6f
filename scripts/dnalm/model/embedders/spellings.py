"""The bases that an embedder's tokens stand for, which tell what a predicted token says of bases.

Shapes: T tokens, S some of them, V tokens of the vocabulary, n longest token in bases.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.errors import InputError
from dnalm.genome.kmers import N, to_codes
from dnalm.model.embedders.contract import NO_BASE
from dnalm.model.embedders.logits import has_logits

NOTHING = 255  # in the place of a base code, behind the last base of a token


class Spellings:
    """The vocabulary of an embedder in bases: `codes` uint8[V + 1, n], `lengths` int64[V + 1].

    A token that stands for no bases A, C, G and T alone has the length 0; so has the last row, that
    of ids beyond those that are known.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        known = [text if set(text) <= set("ACGT") else "" for text in texts]
        self.lengths = np.array([*map(len, known), 0], dtype=np.int64)
        self.codes = np.full((len(self.lengths), self.lengths.max()), NOTHING, dtype=np.uint8)
        for own, text in zip(self.codes, known, strict=False):
            own[: len(text)] = to_codes(text)

    def find_known(
        self, ids: NDArray[np.int64], spans: NDArray[np.int64], codes: NDArray[np.uint8]
    ) -> NDArray[np.int64]:
        """Return the positions of tokens that stand for just the bases that they cover, ascending.

        `codes` are those of the sequence. Special tokens, unknown ones and tokens with an N are
        not among them.
        """
        rows = self._rows(ids)
        lengths = self.lengths[rows]
        found = (lengths > 0) & (spans[:, 1] - spans[:, 0] == lengths) & (spans[:, 0] != NO_BASE)
        for place in np.flatnonzero(found):
            start, end = spans[place]
            found[place] = np.array_equal(self.codes[rows[place], : end - start], codes[start:end])
        return np.flatnonzero(found)

    def share_right(
        self, predicted: NDArray[np.int64], truth: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the share of bases of each true token [S] that the predicted one has right.

        Both are laid with their first bases on each other: bases beyond the true token's last one
        do not count, and those that a shorter token lacks are wrong.
        """
        own = self.codes[self._rows(truth)]
        right = (self.codes[self._rows(predicted)] == own) & (own != NOTHING)
        return right.sum(1) / self.lengths[self._rows(truth)]

    def base_log_probabilities(self, likelihood: Tensor, within: int) -> Tensor:
        """Return ln p [..., 4] of the base codes at `within` tokens, of ln p [..., V] of tokens.

        p of a base is the sum over all tokens that have it there, among those that have any.
        """
        rows = self._rows(np.arange(likelihood.shape[-1]))
        there = torch.from_numpy(self.codes[rows, within]).to(likelihood.device)
        each = [likelihood[..., there == base].logsumexp(-1) for base in range(N)]
        return torch.stack(each, dim=-1).log_softmax(-1)

    def _rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of ids; that of nothing for ids of a table that is larger than needed."""
        return np.minimum(ids, len(self.codes) - 1)


def read_spellings(embedder: Any, name: str) -> Spellings:
    """Return the spellings of an embedder that predicts masked tokens.

    Raises InputError for one that offers no logits, or does not tell what its tokens stand for.
    """
    if not has_logits(embedder):
        raise InputError(
            f"{name} offers no logits of masked tokens, so that none can be predicted by it: drop"
            " the model here, or give its annotation an entry of its own with analyses: [maps]."
        )
    if getattr(embedder, "spellings", None) is None:
        raise InputError(
            f"{name} offers logits, but no `spellings`, the bases that each id of its vocabulary"
            " stands for: add them, docs/how-to/foreign-models.md."
        )
    return Spellings(embedder.spellings)


def check_apart(name: str, spans: NDArray[np.int64]) -> None:
    """Raise InputError where tokens share bases, of which a masked one would be no secret."""
    own = spans[spans[:, 0] != NO_BASE]
    own = own[own[:, 0].argsort(kind="stable")]
    if (own[1:, 0] < own[:-1, 1]).any():
        raise InputError(
            f"Tokens of {name} share bases, so that its neighbours tell what a masked one holds:"
            " drop the model here."
        )
