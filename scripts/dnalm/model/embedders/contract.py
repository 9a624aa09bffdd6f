"""What an embedder has to answer, and checks of its answers.

Shapes: L layers, T tokens, D width.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dnalm.errors import InputError

NO_BASE = -1  # both ends of the span of a token that covers no base
SIZES = ("layers", "width")
MAX_COUNTED = 1 << 20  # bases of a call of count_tokens: tokenizers hold 250 bytes of each token
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
    if isinstance(embedder.weights, str | bytes | Path):
        raise InputError(
            f"The embedder of {name} has the text {str(embedder.weights)!r:.60} as weights: give a"
            " list of paths, [] where there is no file."
        )
    for path in embedder.weights:
        if not Path(path).is_file():
            raise InputError(
                f"The embedder of {name} names {str(path)[:200]} among its weights, which is no"
                " file: correct its list, by which it is known when the model has changed."
            )


def count_tokens(embedder: Any, sequences: Sequence[str]) -> np.ndarray:
    """Return the tokens of each sequence, int64; one a base of an embedder that does not say.

    Raises InputError for other than a number for each.
    """
    counted = getattr(embedder, "count_tokens", None)
    if not counted:
        return np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    parts = [_count_tokens(counted, part) for part in _portions(sequences)]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _portions(sequences: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield all sequences in portions of at most `MAX_COUNTED` bases, one sequence at least."""
    start = bases = 0
    for place, sequence in enumerate(sequences):
        if place > start and bases + len(sequence) > MAX_COUNTED:
            yield sequences[start:place]
            start, bases = place, 0
        bases += len(sequence)
    if start < len(sequences):
        yield sequences[start:]


def _count_tokens(
    counted: Callable[[Sequence[str]], Sequence[int]], sequences: Sequence[str]
) -> np.ndarray:
    counts = np.asarray(counted(sequences))
    if counts.shape != (len(sequences),) or counts.dtype.kind not in "iu":
        raise InputError(
            f"count_tokens of an embedder gives numbers of the shape {list(counts.shape)} and type"
            f" {counts.dtype} for {len(sequences)} sequences: give a whole number for each."
        )
    return counts.astype(np.int64)


def check_lengths(
    embedder: Any,
    name: str,
    sequences: Sequence[str],
    rows: Sequence[str],
    tokens: np.ndarray,
    *,
    may_crop: bool = False,
) -> None:
    """Raise InputError, naming the row, for the longest sequence if it is over a limit.

    With `may_crop` the sentence names `embed.too_long`, too.
    """
    bases = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    for counts, key, unit in (
        (bases, "max_bases", "bases"),
        (tokens, "max_tokens", "tokens"),
    ):
        limit = getattr(embedder, key, None)
        longest = int(counts.argmax()) if len(counts) else 0
        if limit is not None and len(counts) and counts[longest] > limit:
            advice = "cut the task's sequences or choose a model with a longer context"
            if may_crop:
                advice = (
                    "cut the task's sequences, choose a model with a longer context, or set"
                    " embed.too_long to centre, which reads their middle"
                )
            raise InputError(
                f"row {rows[longest]} has {bases[longest]:,} bases, {counts[longest]:,} {unit} of"
                f" {name}, which reads at most {limit:,} {unit}: {advice}."
            )


def embed_checked(
    embedder: Any, name: str, sequences: Sequence[str], rows: Sequence[str]
) -> list[tuple[Tensor, np.ndarray]]:
    """Return what `Embedder.embed` does, with states as float32 tensors.

    Raises InputError, naming the row of `rows`, for states of another shape than the embedder says,
    for numbers that are not finite, and for spans that do not cover the sequence.
    """
    given = embedder.embed(sequences)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(
            f"{name} answers {len(sequences)} sequences with a {type(given).__name__}: its embed"
            " has to give a list of (states, spans)."
        )
    answers = list(given)
    if len(answers) != len(sequences):
        raise InputError(
            f"{name} answers {len(sequences)} sequences with {len(answers)}: correct its embed."
        )
    checked = []
    for sequence, row, answer in zip(sequences, rows, answers, strict=True):
        states, spans = _read_pair(answer, f"row {row}: {name}")
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


def _read_pair(answer: Any, what: str) -> tuple[Tensor, np.ndarray]:
    """Return states and spans of one answer; InputError, which begins with `what`, for no pair."""
    try:
        states, spans = answer
        return torch.as_tensor(states).float(), np.asarray(spans)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{what} gives a {type(answer).__name__} that is no pair of states and spans in numbers"
            f" ({' '.join(str(error).split())[:100]}): correct its embed."
        ) from error


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
