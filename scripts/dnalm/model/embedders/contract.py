"""What an embedder has to answer, and checks of its answers.

Shapes: L layers, T tokens, D width.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dnalm.errors import InputError

NO_BASE = -1  # both ends of the span of a token that covers no base
SIZES = ("layers", "width")
MAX_SPECIAL = 4  # tokens beside those of single bases, which many a tokenizer adds


class Embedder(Protocol):
    """A model that tells the hidden states of every layer, and which bases each token covers.

    `max_bases` is the length of the longest sequence, None for any. `weights` are paths of the
    files that decide the numbers, which are hashed. Where `max_tokens` is there, so is
    `count_tokens(sequences)`, how many tokens each makes: neither is needed. A masked-language head
    is offered by `tokenize` and `logits`, see `dnalm.model.embedders.logits`.
    """

    layers: int
    width: int
    max_bases: int | None
    weights: Sequence[str]

    def embed(self, sequences: Sequence[str]) -> Sequence[tuple[Tensor, np.ndarray]]:
        """Return (states [L, T, D], spans int [T, 2]) of each sequence, without its pads.

        Spans are [start, end) in bases, 0-based, (-1, -1) for a token that covers none.
        """


def check_embedder(embedder: Any, name: str) -> None:
    """Raise InputError where an object lacks what the contract asks for."""
    missing = [
        key for key in (*SIZES, "max_bases", "weights", "embed") if not hasattr(embedder, key)
    ]
    if missing:
        raise InputError(
            f"The embedder of {name} has no {', '.join(missing)}: add what"
            " docs/how-to/foreign-models.md asks for."
        )
    for key in (*SIZES, "max_bases"):
        value = getattr(embedder, key)
        if (type(value) is not int or value < 1) and not (key == "max_bases" and value is None):
            raise InputError(
                f"The embedder of {name} has {key} {value!r:.60}: give a whole number from 1 on."
            )


def count_tokens(embedder: Any, sequences: Sequence[str]) -> np.ndarray:
    """Return the tokens of each sequence, int64; one a base of an embedder that does not say."""
    counted = getattr(embedder, "count_tokens", None)
    lengths = counted(sequences) if counted else [len(sequence) for sequence in sequences]
    return np.array(lengths, dtype=np.int64)


def check_lengths(
    embedder: Any, name: str, sequences: Sequence[str], rows: Sequence[str], tokens: np.ndarray
) -> None:
    """Raise InputError, naming the row, for the longest sequence if it is over a limit."""
    bases = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    for counts, key, unit in (
        (bases, "max_bases", "bases"),
        (tokens, "max_tokens", "tokens"),
    ):
        limit = getattr(embedder, key, None)
        longest = int(counts.argmax()) if len(counts) else 0
        if limit is not None and len(counts) and counts[longest] > limit:
            raise InputError(
                f"row {rows[longest]} has {bases[longest]:,} bases, {counts[longest]:,} {unit} of"
                f" {name}, which reads at most {limit:,} {unit}: cut the task's sequences or choose"
                " a model with a longer context."
            )


def embed_checked(
    embedder: Any, name: str, sequences: Sequence[str], rows: Sequence[str]
) -> list[tuple[Tensor, np.ndarray]]:
    """Return what `Embedder.embed` does, with states as float32 tensors.

    Raises InputError, naming the row of `rows`, for states of another shape than the embedder says,
    for numbers that are not finite, and for spans that do not cover the sequence.
    """
    answers = list(embedder.embed(sequences))
    if len(answers) != len(sequences):
        raise InputError(
            f"{name} answers {len(sequences)} sequences with {len(answers)}: correct its embed."
        )
    checked = []
    for sequence, row, (given, where) in zip(sequences, rows, answers, strict=True):
        states, spans = torch.as_tensor(given).float(), np.asarray(where)
        shape = (embedder.layers, len(spans), embedder.width)
        if tuple(states.shape) != shape:
            raise InputError(
                f"row {row}: {name} has states of the shape {list(states.shape)}, not [layers,"
                f" tokens, width], which are {list(shape)} by what it says: correct its embed."
            )
        check_spans(f"row {row}: {name}", spans, len(sequence))
        if not torch.isfinite(states).all():
            lost = (~torch.isfinite(states)).sum(dim=(1, 2))
            layer = int(lost.nonzero()[0])
            raise InputError(
                f"row {row}: {name} has {int(lost[layer])} states of layer {layer + 1} that are not"
                f" finite, of {states[layer].numel()}: compute in float32 (embed.precision), or"
                " correct its embed."
            )
        checked.append((states, spans))
    return checked


def check_spans(what: str, spans: np.ndarray, bases: int) -> None:
    """Raise InputError, which begins with `what`, where spans do not cover so many bases."""
    if spans.ndim != 2 or spans.shape[1:] != (2,) or spans.dtype.kind not in "iu":
        raise InputError(
            f"{what} has spans of the shape {list(spans.shape)} and type {spans.dtype}: give"
            " [tokens, 2] whole numbers."
        )
    own = spans[(spans != NO_BASE).any(1)]
    wrong = own[(own[:, 0] < 0) | (own[:, 1] <= own[:, 0]) | (own[:, 1] > bases)]
    if len(wrong):
        raise InputError(
            f"{what} has a token with the span [{wrong[0][0]}, {wrong[0][1]}) in a sequence of"
            f" {bases} bases: give [start, end) within it, or -1 and -1 for a token of no base."
        )
    depth = np.zeros(bases + 1, dtype=np.int64)
    np.add.at(depth, own[:, 0], 1)
    np.add.at(depth, own[:, 1], -1)
    bare = np.flatnonzero(depth.cumsum()[:bases] == 0)
    if len(bare):
        raise InputError(
            f"{what} has spans that leave out {len(bare)} of {bases} bases, the first at"
            f" {bare[0]} (0-based): the spans of a sequence's tokens together cover it."
        )
