"""What scores of variants ask of a language model: states, losses, logits of batches of tokens.

`TokenModel` is all that they know of it. Shapes: B batch, T tokens with <cls>, S selected
positions, D width, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from dnalm.devices import compute_in
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import describe_model
from dnalm.model.encoder import Encoder
from dnalm.model.heads import pooling_weights
from dnalm.model.loading import load_model

MAX_LOGITS = 1 << 25  # numbers at once, 128 MiB


class TokenModel(Protocol):
    """A model of batches of token ids, int64 [B, T] on its device, none of them a pad.

    One without a masked-language head has no losses and no masked logits, and so distances alone.
    """

    vocabulary: Vocabulary
    device: torch.device

    def read(
        self, tokens: Tensor, *, states: bool, losses: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the states [B, T, D], and the mean -ln p of each row's own tokens [B]."""
        ...

    def read_masked(self, tokens: Tensor, selected: Tensor) -> Tensor:
        """Return the logits, float32 [B, S, V], at the positions `selected`, int64 [B, S]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """An encoder of ours by its files: run.json and the weights."""

    run: str
    weights: str

    def facts(self) -> dict[str, Any]:
        """Return what decides the model's numbers."""
        return {"model": describe_model(self.run), "weights_sha256": sha256_of(self.weights)}

    def open(self, device: str, layer: int, precision: str) -> "EncoderModel":
        """Return the encoder on a device."""
        encoder, vocabulary = load_model(self.run, self.weights)
        return EncoderModel(encoder.to(device), vocabulary, layer, precision)


class EncoderModel:
    """An encoder as a `TokenModel`: states of one layer, losses and logits of its head.

    `layer` is 0 … L, `precision` float32, tf32 or bf16.
    """

    def __init__(
        self, encoder: Encoder, vocabulary: Vocabulary, layer: int, precision: str
    ) -> None:
        self.encoder, self.vocabulary = encoder, vocabulary
        self.layer, self.precision = layer, precision
        self.device, self.width = encoder.tokens.weight.device, encoder.config.width

    def read(
        self, tokens: Tensor, *, states: bool, losses: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the states [B, T, D] and the losses float32 [B], what is not asked for is None."""
        last = self.encoder.config.layers
        layers = {self.layer} if states else set()
        with compute_in(self.precision, self.device):
            found = self.encoder.compute_states(
                tokens, layers | ({last} if losses else set()), padded=False
            )
            own = self._compute_losses(tokens, found[last]) if losses else None
        return (found[self.layer] if states else None), own

    def read_masked(self, tokens: Tensor, selected: Tensor) -> Tensor:
        """Return the logits, float32 [B, S, V]: of the last block only what these need."""
        with compute_in(self.precision, self.device):
            return self.encoder(tokens, selected, padded=False).logits.float()

    def _compute_losses(self, tokens: Tensor, last: Tensor) -> Tensor:
        """Return the mean -ln p of the tokens of real bases, so without <cls> and N."""
        weights = pooling_weights(tokens, self.vocabulary, "mean")
        size = max(1, MAX_LOGITS // self.encoder.config.vocabulary_size)
        flat, ids = last.flatten(0, 1), tokens.flatten()
        parts = [
            functional.cross_entropy(
                self.encoder.head(flat[at : at + size]).float(),
                ids[at : at + size],
                reduction="none",
            )
            for at in range(0, len(flat), size)
        ]
        return (torch.cat(parts).view(tokens.shape) * weights).sum(1)
