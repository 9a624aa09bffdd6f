"""Sequence embeddings: pooled hidden states of every requested layer, from one forward pass.

Shapes: N sequences, B batch, T tokens, D width, L requested layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from dnalm.devices import Precision, compute_in, fetch, find_precision, send
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, other_strand
from dnalm.model.encoder import Encoder
from dnalm.model.heads import Pooling, choose_pooling, pooling_weights, weigh
from dnalm.model.token_batches import Limits, TokenRows, crop_long, limit_tokens
from dnalm.suggestions import check_choice

Layers = Literal["all"] | int | Sequence[int]
Strands = Literal["forward", "both"]
StoredType = Literal["float32", "float16"]
TooLong = Literal["refuse", "centre"]
CHOICES = {"pooling": Pooling, "strands": Strands, "precision": Precision, "dtype": StoredType}
CHOICES["too_long"] = TooLong


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """The section `embed` of the config.

    `layers` as for `choose_layers`; `strands` is forward or both; `batch_tokens` is an upper limit.
    `precision` is that of the forward pass (`dnalm.devices.find_precision`), `dtype` that of the
    file, which is made in shards of `shard_rows` rows; `centre_bases` is for the pooling centre.
    `too_long` says what happens to a sequence beyond the model's context: refuse, or centre, its
    middle is read.
    """

    layers: Layers
    pooling: Pooling
    centre_bases: int
    strands: Strands
    precision: Precision
    dtype: StoredType
    too_long: str
    batch_tokens: int
    shard_rows: int

    def __post_init__(self) -> None:
        for key, kind in CHOICES.items():
            check_choice(f"embed.{key}", getattr(self, key), get_args(kind))
        for key in ("centre_bases", "batch_tokens"):
            if type(getattr(self, key)) is not int or getattr(self, key) < 1:
                raise InputError(
                    f"embed.{key} is {getattr(self, key)!r:.60}: give a whole number from 1 on."
                )

    @classmethod
    def for_task(cls, embed: Mapping[str, Any], task: Mapping[str, Any]) -> "EmbedConfig":
        """Return the settings of the section `embed`; the task's own pooling goes first."""
        return cls(**{**embed, "pooling": choose_pooling(task, embed["pooling"])})

    def on(self, devices: Sequence[str | torch.device]) -> "EmbedConfig":
        """Return the same with the precision that these devices compute in together.

        Raises InputError where one of them cannot.
        """
        return replace(self, precision=find_precision(self.precision, "embed.precision", devices))


def choose_layers(layers: Layers, total: int) -> list[int]:
    """Return the layers to embed, ascending; the model's are 1 to `total`.

    `"all"`: every one. A number n: n evenly spaced ones, the first and the last included (all if
    there are no more than n). A list is taken as it is. Raises InputError for a layer that the
    model does not have; layer 0, the token table, may be named in a list.
    """
    numbers = [layers] if isinstance(layers, int) else layers
    if layers != "all" and not (
        isinstance(numbers, Sequence) and all(type(layer) is int for layer in numbers)
    ):
        raise InputError(
            f"embed.layers is {layers!r:.60}: give `all`, how many, or a list of their numbers."
        )
    if layers == "all":
        return list(range(1, total + 1))
    if isinstance(layers, int):
        if layers < 1:
            raise InputError(f"embed.layers is {layers}: ask for 1 layer or more, or for `all`.")
        # One layer alone is the last one.
        spaced = np.linspace(total if layers == 1 else 1, total, min(layers, total))
        return [int(layer) for layer in spaced.round()]
    wrong = [layer for layer in layers if not 0 <= layer <= total]
    if wrong or not layers:
        raise InputError(
            f"embed.layers is {list(layers)!s:.60}, but the model has layers 1 to {total}: name "
            "some of these."
        )
    return sorted(set(layers))


@torch.inference_mode()
def embed(
    encoder: Encoder,
    vocabulary: Vocabulary,
    sequences: Sequence[str],
    names: Sequence[str],
    layers: Sequence[int],
    config: EmbedConfig,
    tick: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """Return the embeddings float32 [L, N, D] of N `sequences`: pooled states of `layers`.

    `layers` are ascending. Pooling is that of `dnalm.model.heads.pooling_weights`; with `strands`
    both, it is the mean of the vectors of a sequence and of its reverse complement. Sequences of
    like length share a batch of at most `batch_tokens` tokens, on a CPU of no more than fit its
    cache; the numbers do not depend on it but for rounding. The encoder is to be in evaluation
    mode, on whatever device. `names` name rows in errors; `tick` is called with each batch's number
    of rows, for every strand. Raises InputError for a sequence longer than the model's context,
    unless `too_long` is centre.
    """
    limits = Limits(vocabulary=vocabulary, max_tokens=encoder.config.max_tokens)
    strands = [crop_long(sequences, limits, config.too_long)[0]]
    if config.strands == "both":
        strands.append([other_strand(sequence) for sequence in strands[0]])
    device = encoder.tokens.weight.device
    config, most = config.on([device]), limit_tokens(config.batch_tokens, device)
    pooled = np.zeros((len(layers), len(sequences), encoder.config.width), dtype=np.float32)
    for strand in strands:
        rows = TokenRows(strand, names, vocabulary, encoder.config.max_tokens)
        batches = _pool_batches(encoder, vocabulary, rows, most, layers, config)
        for chosen, vectors in fetch(batches):
            pooled[:, chosen] += vectors / len(strands)
            tick(len(chosen))
    return pooled


def _pool_batches(
    encoder: Encoder,
    vocabulary: Vocabulary,
    rows: TokenRows,
    most: int,
    layers: Sequence[int],
    config: EmbedConfig,
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield the positions of rows and their pooled states, float32 [L, B, D], on the device."""
    device = encoder.tokens.weight.device
    for chosen in rows.by_length(np.arange(len(rows)), most):
        tokens, padded = rows.batch(chosen)
        with compute_in(config.precision, device):
            states = _pool_batch(encoder, vocabulary, send(tokens, device), padded, layers, config)
        yield chosen, states


def _pool_batch(
    encoder: Encoder,
    vocabulary: Vocabulary,
    tokens: Tensor,
    padded: bool,
    layers: Sequence[int],
    config: EmbedConfig,
) -> Tensor:
    """Return the pooled states of a batch, float32 [L, B, D]."""
    weights = pooling_weights(tokens, vocabulary, config.pooling, config.centre_bases)
    # Each layer is pooled before the next one is computed: one layer's states in memory.
    walked = encoder.compute_states_in_turn(tokens, layers, padded=padded)
    return torch.stack([weigh(states, weights) for _, states in walked])
