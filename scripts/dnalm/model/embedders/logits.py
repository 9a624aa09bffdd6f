"""Token ids and logits of embedders that offer them, and checks of these answers.

Shapes: T tokens, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.model.embedders.contract import NO_BASE, check_spans

Tokens = tuple[np.ndarray, np.ndarray]  # ids [T] and spans [T, 2] of a sequence


def has_logits(embedder: Any) -> bool:
    """Return whether an embedder has a masked-language head: `tokenize` and `logits`."""
    return all(getattr(embedder, key, None) is not None for key in ("tokenize", "logits"))


def tokenize_checked(embedder: Any, name: str, sequences: Sequence[str]) -> list[Tokens]:
    """Return the ids int64 [T] and spans int64 [T, 2] of each sequence.

    Raises InputError where they are of different numbers, or do not cover the sequence.
    """
    found = []
    for sequence, (ids, where) in zip(sequences, embedder.tokenize(sequences), strict=True):
        numbers, spans = np.asarray(ids, dtype=np.int64), np.asarray(where)
        what = f"a sequence of {len(sequence)} bases: {name}"
        check_spans(what, spans, len(sequence))
        if numbers.shape != (len(spans),):
            raise InputError(
                f"{what} has {len(spans)} spans and ids of the shape {list(numbers.shape)}: correct"
                " its tokenize."
            )
        found.append((numbers, spans.astype(np.int64)))
    return found


def compute_likelihoods(
    embedder: Any, name: str, sequences: Sequence[str], masked: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Return ln p of every token of the vocabulary at every token, float32 [T, V] of each sequence.

    `masked` are the positions of tokens that the mask token stands for, of each sequence. Raises
    InputError for logits that are not finite or of another shape.
    """
    answers = list(embedder.logits(sequences, masked))
    if len(answers) != len(sequences):
        raise InputError(
            f"{name} answers {len(sequences)} sequences with logits of {len(answers)}: correct its"
            " logits."
        )
    found = []
    for given in answers:
        logits = torch.as_tensor(given).float()
        if logits.ndim != 2 or not bool(logits.isfinite().all()):
            raise InputError(
                f"{name} has logits of the shape {list(logits.shape)}, or such that are not finite:"
                " give [tokens, vocabulary] of each sequence."
            )
        found.append(logits.log_softmax(-1))
    return found


def take_own(likelihoods: Tensor, ids: np.ndarray, positions: np.ndarray) -> Tensor:
    """Return ln p [S] of the ids at some of the positions of `likelihoods` [T, V]."""
    at = torch.from_numpy(positions).to(likelihoods.device)
    return likelihoods[at, torch.from_numpy(ids[positions]).to(likelihoods.device)]


def tell_apart(one: Tokens, other: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of tokens of bases that the other sequence's tokens do not have.

    A token is its id and the bases that it covers; both sequences begin at one base.
    """
    kept = []
    for (ids, spans), (their_ids, their_spans) in ((one, other), (other, one)):
        theirs = set(_keys(their_ids, their_spans))
        own = [
            place
            for place, key in enumerate(_keys(ids, spans))
            if key[1] != NO_BASE and key not in theirs
        ]
        kept.append(np.array(own, dtype=np.int64))
    return kept[0], kept[1]


def _keys(ids: np.ndarray, spans: np.ndarray) -> list[tuple[int, int, int]]:
    return [(int(i), int(start), int(end)) for i, (start, end) in zip(ids, spans, strict=True)]
